"""Distances within sets of images, against plain loops."""

import itertools

import numpy as np
import pytest

from cvae_jax.metrics import diversity


@pytest.fixture(scope="module")
def images():
  """Return more images than a block holds, and no multiple of it."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (diversity.BLOCK + 13, 4, 3, 3), np.uint8)


def by_loops(images):
  unit = images.reshape(len(images), -1) / 255.0
  pairs = itertools.combinations(unit, 2)
  return np.mean([np.sqrt(((a - b) ** 2).mean()) for a, b in pairs])


def test_mean_distance_is_over_every_pair_once(images):
  expected = by_loops(images)
  assert diversity.mean_distance(images) == pytest.approx(expected, rel=1e-9)
  unit = images.astype(np.float32) / 255
  assert diversity.mean_distance(unit) == pytest.approx(expected, rel=1e-6)


def test_it_does_not_depend_on_the_blocks(images, monkeypatch):
  expected = diversity.mean_distance(images)
  monkeypatch.setattr(diversity, "BLOCK", 7)
  assert diversity.mean_distance(images) == pytest.approx(expected, rel=1e-12)


def test_black_and_white_are_1_apart_and_copies_0():
  pair = np.stack([np.zeros((2, 2, 3)), np.ones((2, 2, 3))])
  assert diversity.mean_distance(pair) == 1.0
  same = np.full((5, 2, 2, 3), 0.3)
  assert diversity.mean_distance(same) == pytest.approx(0, abs=1e-7)


def test_what_a_picture_cannot_show_is_no_distance():
  beyond = np.stack([np.full((2, 2, 3), v) for v in (-0.3, 0.0)])
  assert diversity.mean_distance(beyond) == 0.0


@pytest.mark.parametrize("count", [0, 1])
def test_one_image_has_no_distance(count):
  with pytest.raises(ValueError, match=f"two images or more; found {count}"):
    diversity.mean_distance(np.zeros((count, 2, 2, 3)))


def test_paired_distance_is_of_each_with_its_own(images):
  other = images[::-1]
  unit = [x.reshape(len(x), -1) / 255.0 for x in (images, other)]
  expected = np.sqrt(((unit[0] - unit[1]) ** 2).mean(axis=1)).mean()
  found = diversity.paired_distance(images, other)
  assert found == pytest.approx(expected, rel=1e-9)
  assert diversity.paired_distance(images, images) == 0.0


def test_ratios_are_beside_real_images(images):
  unit = images / 255.0
  half = unit.mean(axis=0) + 0.5 * (unit - unit.mean(axis=0))
  found = diversity.compare(images, half, unit, [half, unit])
  assert found["reconstructed_ratio"] == pytest.approx(0.5)
  assert found["sampled_ratio"] == pytest.approx(1)
  assert found["one_condition_ratio"] == pytest.approx(0.75)
  assert found["spread"] == pytest.approx(0.25 * found["real"])
  assert found["error"] == diversity.paired_distance(images, half)
