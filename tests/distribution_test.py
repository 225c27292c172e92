"""Distances of distributions against SciPy, closed forms and brute force."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from cvae_jax.metrics import frechet, manifold, sliced


def gaussian(count, dimension, seed, shift=0.0):
  rng = np.random.default_rng(seed)
  mixing = rng.normal(size=(dimension, dimension))
  return rng.normal(size=(count, dimension)) @ mixing + shift


@pytest.mark.parametrize("sizes", [(300,), (1, 99, 200), (2, 298)])
def test_moments_do_not_depend_on_the_batches(sizes):
  features = gaussian(300, 5, 0, shift=1e4)  # where sums of squares cancel
  parts = np.split(features, np.cumsum(sizes)[:-1])
  found = frechet.moments(parts)
  assert found.count == 300
  np.testing.assert_allclose(found.mean, features.mean(0), rtol=1e-12)
  expected = np.cov(features, rowvar=False)
  np.testing.assert_allclose(found.covariance, expected, rtol=1e-9, atol=1e-9)


def test_one_vector_has_no_covariance():
  with pytest.raises(ValueError, match="at least two vectors, found 1"):
    frechet.moments([np.zeros((1, 4))])


def test_frechet_distance_is_that_of_the_square_root_of_the_product():
  a, b = (frechet.moments([gaussian(400, 6, s, s)]) for s in (1, 2))
  root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
  spread = np.trace(a.covariance + b.covariance - 2 * root)
  expected = ((a.mean - b.mean) ** 2).sum() + spread
  assert frechet.distance(a, b) == pytest.approx(expected, rel=1e-9)
  assert frechet.distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_independent_gaussians_is_its_closed_form():
  mean = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, -2.0]])
  spread = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 0.0]])  # one direction is flat
  a, b = (
    frechet.Moments(9, m, np.diag(s**2))
    for m, s in zip(mean, spread, strict=True)
  )
  expected = ((mean[0] - mean[1]) ** 2 + (spread[0] - spread[1]) ** 2).sum()
  assert frechet.distance(a, b) == pytest.approx(expected, rel=1e-12)
  assert frechet.distance(a, a) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_bears_fewer_vectors_than_dimensions():
  features = gaussian(20, 64, 3)
  a = frechet.moments([features])
  b = frechet.moments([features + 0.5])
  assert frechet.distance(a, b) == pytest.approx(64 * 0.25, rel=1e-6)


def brute_precision(real, samples, k):
  """Kynkäänniemi et al. 2019, equation 1, point by point."""

  def inside(point):
    for i, centre in enumerate(real):
      others = sorted(np.linalg.norm(np.delete(real, i, 0) - centre, axis=1))
      if np.linalg.norm(point - centre) <= others[k - 1]:
        return True
    return False

  return np.mean([inside(point) for point in samples])


def test_precision_and_recall_are_the_definition_s(monkeypatch):
  monkeypatch.setattr(manifold, "BLOCK", 7)  # so that there are several
  real = gaussian(40, 3, 0)
  samples = gaussian(30, 3, 1)
  found = manifold.precision_recall(real, samples, neighbours=2)
  expected = {
    "precision": brute_precision(real, samples, 2),
    "recall": brute_precision(samples, real, 2),
  }
  assert found == pytest.approx(expected)
  assert 0 < found["precision"] < 1


def test_a_mode_left_out_costs_recall_and_nonsense_costs_precision():
  rng = np.random.default_rng(0)
  near = rng.normal(size=(200, 2))
  far = rng.normal(50, 1, (200, 2))
  both = np.concatenate([near, far])
  collapsed = manifold.precision_recall(both, rng.normal(size=(200, 2)))
  assert collapsed["precision"] > 0.9
  assert collapsed["recall"] == pytest.approx(0.5, abs=0.06)
  spread = manifold.precision_recall(near, both)
  assert spread["precision"] == pytest.approx(0.5, abs=0.06)
  same = manifold.precision_recall(both, both)
  assert same == {"precision": 1.0, "recall": 1.0}


def test_near_duplicates_are_the_definition_s(monkeypatch):
  monkeypatch.setattr(manifold, "BLOCK", 7)  # so that there are several
  real = gaussian(40, 3, 0)
  samples = gaussian(40, 3, 1)
  samples[5] = samples[9] + 1e-3

  def nearest(points):
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return (apart + np.diag([np.inf] * len(points))).min(axis=1)

  expected = (nearest(samples) <= np.quantile(nearest(real), 0.1)).mean()
  found = manifold.near_duplicates(real, samples, 0.1)
  assert found == expected >= 2 / 40
  assert manifold.near_duplicates(real, real, 0.1) == pytest.approx(0.1)
  same = np.tile(samples[:1], (40, 1))
  assert manifold.near_duplicates(real, same) == 1.0


def test_sets_that_cannot_be_compared_are_refused():
  with pytest.raises(ValueError, match="more than 3 rows"):
    manifold.precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
  with pytest.raises(ValueError, match="features differ"):
    manifold.precision_recall(np.zeros((9, 2)), np.zeros((9, 3)))
  with pytest.raises(ValueError, match=r"of one shape.*found \(3, 2\) and"):
    manifold.near_duplicates(np.zeros((3, 2)), np.zeros((4, 2)))
  with pytest.raises(ValueError, match="as many images"):
    sliced.distance(np.zeros((3, 2, 2, 1)), np.zeros((4, 2, 2, 1)))


def test_sliced_distance_is_scipys_w1_averaged_over_directions(monkeypatch):
  monkeypatch.setattr(sliced, "ROWS", 7)
  monkeypatch.setattr(sliced, "DIRECTIONS", 4)
  rng = np.random.default_rng(0)
  a, b = rng.random((2, 30, 3, 3, 1)).astype(np.float32)
  b = b**2
  generator = np.random.default_rng(5)
  each = []
  for count in (4, 4, 2):
    along = generator.standard_normal((9, count), np.float32)
    along /= np.linalg.norm(along, axis=0)
    each += [
      scipy.stats.wasserstein_distance(
        a.reshape(30, 9) @ v, b.reshape(30, 9) @ v
      )
      for v in along.T
    ]
  found = sliced.distance(a, b, directions=10, seed=5)
  assert found == pytest.approx(np.mean(each), rel=1e-5)


def test_sliced_distance_of_a_shift_is_its_mean_projection():
  rng = np.random.default_rng(1)
  images = rng.integers(0, 200, (50, 4, 4, 3), dtype=np.uint8)
  assert sliced.distance(images, images[::-1]) < 1e-7
  shift = sliced.distance(images, images + np.uint8(51))
  # |Σ v| of a unit vector in 48 dimensions: √(48 · 2 / (48 π)) to 1 %.
  assert shift == pytest.approx(0.2 * np.sqrt(2 / np.pi), rel=0.1)
