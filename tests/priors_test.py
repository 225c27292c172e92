"""Priors: their densities' moments, and regions that are where they say."""

import jax
import numpy as np
import pytest

from cvae_jax.method import priors

COUNT = 20_000
KEY = jax.random.key(0)


def draw(name):
  drawn = priors.PRIORS[name](KEY, COUNT)
  return np.asarray(drawn.z, np.float64), np.asarray(drawn.region)


def test_normal_has_unit_moments_and_ten_equal_sectors():
  z, region = draw("normal")
  np.testing.assert_allclose(z.mean(axis=0), 0, atol=4 / np.sqrt(COUNT))
  np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.05)
  # The angle is taken from the second axis, as the source's digitize does.
  edges = np.linspace(-np.pi, np.pi, 11)
  expected = np.digitize(np.arctan2(z[:, 0], z[:, 1]), edges) - 1
  assert (region == expected).mean() > 0.9999  # float32 at an edge
  np.testing.assert_allclose(np.bincount(region) / COUNT, 0.1, atol=0.01)


def test_normal_takes_any_number_of_latents():
  assert priors.PRIORS["normal"](KEY, 3, 50).z.shape == (3, 50)


def test_swiss_roll_lies_on_its_spiral():
  z, region = draw("swiss_roll")
  radius = np.linalg.norm(z, axis=-1) * 7.5
  assert radius.min() > 1.5 * np.pi - 0.6
  assert radius.max() < 4.5 * np.pi + 0.6
  # On the spiral the angle is the radius, up to whole turns and the noise.
  turn = (np.arctan2(z[:, 1], z[:, 0]) - radius) / (2 * np.pi)
  off = 2 * np.pi * abs(turn - np.rint(turn)) * radius
  assert np.quantile(off, 0.99) < 5  # anywhere else it would be about 20
  edges = np.linspace(4.7, 14.3, 11)
  sure = abs(radius[:, None] - edges).min(axis=1) > 0.4
  assert sure.sum() > 100
  expected = np.digitize(radius, edges) - 1
  assert (region[sure] == expected[sure]).mean() > 0.999  # noise of 4 σ
  # u is uniform, so a stretch of t is as likely as it is long.
  np.testing.assert_allclose(np.bincount(region) / COUNT, 0.1, atol=0.015)


def test_mixture_has_ten_petals():
  z, region = draw("mixture")
  for k in range(10):
    angle = 2 * np.pi * k / 10
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-np.sin(angle), np.cos(angle)])
    petal = z[region == k]
    assert len(petal) > COUNT / 10 * 0.9
    assert (petal @ along).mean() == pytest.approx(1.4, abs=0.05)
    assert (petal @ along).std() == pytest.approx(0.5, abs=0.04)
    assert (petal @ across).mean() == pytest.approx(0, abs=0.02)
    assert (petal @ across).std() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("name", ["swiss_roll", "mixture"])
def test_a_prior_of_the_plane_refuses_other_latents(name):
  with pytest.raises(ValueError, match=rf"'{name}' lies in the plane.*=3"):
    priors.PRIORS[name](KEY, 3, 3)
