"""Recomposition: luma kept, true colours recovered, the source's formulas."""

import colorsys

import jax
import numpy as np
import pytest

from cvae_jax.method import recompose

RNG = np.random.default_rng(0)
paint = jax.jit(recompose.paint)


def vectors(rgb):
  """The (x, y) of RGB in [0, 1], by colorsys."""
  flat = []
  for r, g, b in rgb.reshape(-1, 3):
    angle = 2 * np.pi * colorsys.rgb_to_hsv(r, g, b)[0]
    chroma = max(r, g, b) - min(r, g, b)
    flat.append((chroma * np.cos(angle), chroma * np.sin(angle)))
  return np.reshape(flat, (*rgb.shape[:-1], 2)).astype(np.float32)


def luma(rgb):
  return rgb @ np.array([0.299, 0.587, 0.114])


def test_true_colours_and_luma_give_the_photo_back():
  photo = RNG.random((16, 16, 3)).astype(np.float32)
  grey = luma(photo).astype(np.float32)
  found = paint(vectors(photo), grey)
  np.testing.assert_allclose(found, photo, atol=1e-5)


def test_luma_is_kept_and_no_channel_leaves_the_range():
  colours = RNG.uniform(-1.2, 1.2, (3, 14, 14, 2)).astype(np.float32)
  grey = RNG.random((3, 40, 30)).astype(np.float32)
  found = np.asarray(paint(colours, grey))
  assert found.shape == (3, 40, 30, 3)
  assert found.min() > -1e-5
  assert found.max() < 1 + 1e-5
  np.testing.assert_allclose(luma(found), grey, atol=1e-5)


def test_no_colour_is_the_grey_photo():
  grey = RNG.random((20, 20)).astype(np.float32)
  found = paint(np.zeros((14, 14, 2), np.float32), grey)
  np.testing.assert_allclose(found, np.stack([grey] * 3, -1), atol=1e-6)


def hsl_by_hand(x, y, grey):
  """The source's sextants, for one pixel."""
  hue = np.degrees(np.arctan2(y, x)) % 360
  s = np.hypot(x, y)
  top = grey + s / 2
  low = grey - s / 2
  mid = low + (top - low) * (1 - abs(hue % 120 - 60) / 60)
  return (
    (top, mid, low),
    (mid, top, low),
    (low, top, mid),
    (low, mid, top),
    (mid, low, top),
    (top, low, mid),
  )[int(hue // 60)]


def test_the_source_s_recomposition_pixel_by_pixel():
  # A map of one colour: smoothing leaves hue and chroma as they are.
  grey = RNG.random((112, 112))
  for x, y in ((0.5, 0.1), (-0.2, 0.6), (-0.4, -0.3), (0.1, -0.7), (0, 0.3)):
    colours = np.broadcast_to(np.float32([x, y]), (14, 14, 2))
    for smoothing in recompose.SMOOTHINGS:
      found = recompose.paint_as_source(colours, grey, smoothing)
      expected = [hsl_by_hand(x, y, g) for g in grey[0, :5]]
      np.testing.assert_allclose(found[0, :5], expected, atol=1e-5)


def test_averaging_hues_next_to_red_gives_a_colour_that_neither_has():
  # The named bug of the source: 350° and 10° average to 180°, cyan.
  colours = np.zeros((14, 14, 2), np.float32)
  for half, degrees in ((np.s_[:, :7], 350), (np.s_[:, 7:], 10)):
    angle = np.radians(degrees)
    colours[half] = 0.6 * np.cos(angle), 0.6 * np.sin(angle)
  grey = np.full((112, 112), 0.5)
  wrong = recompose.paint_as_source(colours, grey, "hue")
  right = recompose.paint_as_source(colours, grey, "rgb")
  seam = np.s_[56, 55:57]
  assert (wrong[seam][:, 0] < wrong[seam][:, 2]).all()  # less red than blue
  assert (right[seam][:, 0] > right[seam][:, 2] + 0.3).all()


@pytest.mark.parametrize("smoothing", recompose.SMOOTHINGS)
def test_smoothing_has_17_taps(smoothing):
  colours = np.zeros((14, 14, 2), np.float32)
  colours[7, 7] = 0.8, 0.0  # pixels 56..63
  grey = np.full((112, 112), 0.5)
  found = recompose.paint_as_source(colours, grey, smoothing)
  touched = np.flatnonzero(np.ptp(found, axis=-1)[60] > 1e-12)
  assert (touched.min(), touched.max()) == (56 - 8, 63 + 8)
