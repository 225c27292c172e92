"""Cells: the bits of a plain NumPy reference, and OpenCV's recorded results."""

import colorsys
import functools
import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from cvae_jax.method import cells

RECORDED = json.loads((Path(__file__).parent / "opencv.json").read_text())
PHOTO = np.repeat([0, 1], 196)
CELL = np.tile(np.arange(196), 2)
grey_of = jax.jit(cells.grey)
polar_of = jax.jit(cells.hue_and_chroma)
positions_of = jax.jit(cells.positions, static_argnums=1)


@functools.cache
def thinned(name):
  """As tests/record_opencv.py thins it, read by Pillow."""
  skimage = pytest.importorskip("skimage.data")
  path = Path(skimage.__file__).parent / f"{name}.png"
  image = np.asarray(Image.open(path).convert("RGB"))
  top, left = ((n - 224) // 2 for n in image.shape[:2])
  return image[top : top + 224 : 2, left : left + 224 : 2]


@pytest.fixture(scope="module")
def noise():
  """Two photos of every colour: noise, and a smooth one with pure hues."""
  rng = np.random.default_rng(0)
  wild = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
  smooth = np.zeros((112, 112, 3), np.uint8)
  smooth[..., 0] = np.arange(112) * 2
  smooth[:60, :, 1] = 255
  smooth[:, 70:, 2] = np.arange(112)[:, None]
  return np.stack([wild, smooth])


def grey_by_hand(rgb):
  weights = np.array([9798, 19235, 3735])
  return (rgb.astype(np.int64) @ weights + 16384) // 32768


def hue_by_hand(r, g, b):
  """OpenCV's 8-bit hue of one colour, 0..179."""
  top = max(r, g, b)
  chroma = max(r, g, b) - min(r, g, b)
  if chroma == 0:
    return 0
  if top == r:
    distance = g - b
  elif top == g:
    distance = b - r + 2 * chroma
  else:
    distance = r - g + 4 * chroma
  share = int(np.rint(180 * 4096 / (6.0 * chroma)))
  return (distance * share + 2048) // 4096 % 180


def targets_by_hand(rgb):
  """The 14 × 14 colour vectors in float64, a pixel at a time."""
  vectors = np.zeros((112, 112, 2))
  for y in range(112):
    for x in range(112):
      r, g, b = (int(v) for v in rgb[y, x])
      angle = 2 * np.pi * hue_by_hand(r, g, b) / 180
      chroma = (max(r, g, b) - min(r, g, b)) / 255
      vectors[y, x] = chroma * np.cos(angle), chroma * np.sin(angle)
  return vectors


def pyramid_by_hand(grey, i, j):
  """The four levels in float64, cut from a photo with a black frame."""
  frame = np.zeros((224, 224), np.int64)
  frame[56:168, 56:168] = grey
  whole = grey.reshape(14, 8, 14, 8)[:, 3:5, :, 3:5].sum((1, 3))
  levels = [(whole + 2) // 4 / 255]
  for size, first in ((56, 1), (28, 0)):
    top, left = (56 + 8 * k + 4 - size // 2 for k in (i, j))
    crop = frame[top : top + size, left : left + size]
    blocks = crop.reshape(14, size // 14, 14, size // 14)
    middle = blocks[:, first : first + 2, :, first : first + 2]
    levels.append(middle.sum((1, 3)) / 1020)
  top, left = (56 + 8 * k - 3 for k in (i, j))
  levels.append(frame[top : top + 14, left : left + 14] / 255)
  return np.stack(levels)


@jax.jit
def cut(rgb, photo, cell):
  """The functions as a training step holds them, for one shape: two photos."""
  grey = cells.grey(rgb)
  levels = cells.pyramid(grey, photo, cell, whole_bytes=True)
  whole = cells.pyramid(grey, photo[:1], cell[:1], whole_bytes=False)
  return levels, cells.targets(rgb[photo], cell), whole[0, 0]


def test_the_pyramid_has_the_bits_of_the_reference(noise):
  found, *_ = cut(noise, PHOTO, CELL)
  greys = grey_by_hand(noise)
  for n, levels in enumerate(np.asarray(found)):
    expected = pyramid_by_hand(greys[PHOTO[n]], *divmod(CELL[n], 14))
    np.testing.assert_array_equal(levels, expected.astype(np.float32))


def test_targets_have_the_bits_of_the_reference(noise):
  _, found, _ = cut(noise, PHOTO, CELL)
  for k, rgb in enumerate(noise):
    vectors = targets_by_hand(rgb)
    blocks = vectors.reshape(14, 8, 14, 8, 2).transpose(0, 2, 1, 3, 4)
    total = blocks.reshape(196, 64, 2).astype(np.float32)
    for half in (32, 16, 8, 4, 2, 1):
      total = total[:, :half] + total[:, half:]
    ours = np.asarray(found)[k == PHOTO]
    np.testing.assert_array_equal(ours, total[:, 0] / np.float32(64))
    exact = blocks.reshape(196, 64, 2).mean(1)
    np.testing.assert_allclose(ours, exact, atol=1e-7)


def test_a_batch_is_cells_of_many_photos_in_any_order(noise):
  order = np.random.default_rng(1).permutation(392)
  *some, _ = cut(noise, PHOTO[order], CELL[order])
  *whole, _ = cut(noise, PHOTO, CELL)
  for a, b in zip(some, whole, strict=True):
    np.testing.assert_array_equal(a, np.asarray(b)[order])


def test_hue_is_the_hue_of_a_colour_circle():
  colours = np.random.default_rng(0).integers(0, 256, (500, 3), dtype="u1")
  hue, chroma = map(np.asarray, polar_of(colours))
  for colour, h, c in zip(colours.tolist(), hue, chroma, strict=True):
    assert int(h) == hue_by_hand(*colour)
    assert int(c) == max(colour) - min(colour)
    away = abs(colorsys.rgb_to_hsv(*colour)[0] * 180 - int(h))
    assert min(away, 180 - away) <= 0.55  # half a step; the shares are rounded


@pytest.mark.parametrize("name", RECORDED["photos"])
def test_opencv_finds_the_same(name):
  rgb = thinned(name)
  recorded = RECORDED["photos"][name]
  digest = lambda a: hashlib.sha256(a.tobytes()).hexdigest()  # noqa: E731
  assert digest(rgb) == recorded["photo"]
  grey, (hue, _) = np.asarray(grey_of(rgb)), polar_of(rgb)
  assert digest(grey.astype(np.uint8)) == recorded["grey"]
  assert digest(np.asarray(hue).astype(np.uint8)) == recorded["hue"]
  levels, found, unrounded = cut(np.stack([rgb, rgb]), PHOTO, CELL)
  levels = np.asarray(levels)[:196]
  found = np.asarray(found)[:196]
  assert digest(levels[0, 0]) == recorded["level_0"]
  assert digest(levels[:, 1:]) == recorded["levels_1_to_3"]
  assert digest(np.asarray(unrounded)) == recorded["level_0_unrounded"]
  expected = np.column_stack([recorded["x"], recorded["y"]])
  np.testing.assert_allclose(found, expected, atol=2e-7)


def test_positions_of_corners_and_edges():
  everywhere = np.asarray(positions_of(CELL, 7))
  found = everywhere[[0, 13, 182, 195, 98]]
  s = np.sqrt(0.5)
  np.testing.assert_allclose(found[0], [0, 0, 0, s, s, 1, 1], atol=1e-6)
  np.testing.assert_allclose(found[1], [0, 1, s, 0, 1, s, 1], atol=1e-6)
  np.testing.assert_allclose(found[2], [1, 0, s, 1, 0, s, 1], atol=1e-6)
  np.testing.assert_allclose(found[3], [1, 1, 1, s, s, 0, 1], atol=1e-6)
  np.testing.assert_allclose(found[4, :2], [7 / 13, 0], atol=1e-6)
  both = np.asarray(positions_of(CELL, 2))[:196]
  np.testing.assert_allclose(both * 13, np.indices((14, 14)).reshape(2, -1).T)
  assert everywhere[:, 6].min() == pytest.approx(
    0.0769,
    abs=1e-4,  # 14 is even
  )
