"""Gaussians: divergences and densities against NumPy, SciPy, Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from cvae_jax.method import gaussian
from cvae_jax.method.gaussian import Gaussian

kl_to_prior = jax.jit(gaussian.kl_to_prior)
log_density = jax.jit(gaussian.log_density)
reparameterise = jax.jit(gaussian.reparameterise)


def draw(seed, shape=(8, 5), spread=2.0):
  rng = np.random.default_rng(seed)
  mean, logvar = rng.normal(0, spread, (2, *shape)).astype(np.float32)
  return Gaussian(mean, logvar)


@pytest.mark.parametrize("spread", [0.0, 1e-5, 1e-4, 1e-3, 0.1, 1.0, 5.0])
def test_kl_is_never_negative_and_float64_s_near_the_prior_too(spread):
  q = draw(0, (64, 120), spread)
  kl = np.asarray(kl_to_prior(q))
  assert kl.shape == (64, 120)
  assert kl.min() >= 0
  mean, logvar = (np.asarray(x, np.float64) for x in q)
  expected = 0.5 * (mean**2 + np.expm1(logvar) - logvar).sum(axis=-1)
  np.testing.assert_allclose(kl.sum(axis=-1), expected, rtol=2e-2, atol=1e-12)


def test_kl_is_zero_at_the_prior_and_only_there():
  prior = gaussian.standard(jnp.ones((8, 5)))
  np.testing.assert_array_equal(kl_to_prior(prior), 0)
  for field in ("mean", "logvar"):
    for shift in (-0.1, 0.1):
      moved = prior._replace(**{field: np.full((8, 5), shift, np.float32)})
      assert np.asarray(kl_to_prior(moved)).min() > 1e-3


def test_kl_is_smooth_at_the_prior():
  # Its gradient is 0 there: (μ, ½(σ² − 1)).
  prior = gaussian.standard(jnp.zeros((8, 5)))
  slope = jax.jit(jax.grad(lambda q: gaussian.kl_to_prior(q).sum()))(prior)
  np.testing.assert_array_equal(slope.mean, 0)
  np.testing.assert_array_equal(slope.logvar, 0)


def test_kl_equals_the_textbook_formula_between_two_normals():
  q = draw(1)
  s1 = np.exp(np.float64(q.logvar) / 2)
  s2 = 1.0
  mean = np.float64(q.mean)
  # log(σ₂/σ₁) + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½, for general σ₂ and μ₂.
  expected = np.log(s2 / s1) + (s1**2 + mean**2) / (2 * s2**2) - 0.5
  np.testing.assert_allclose(kl_to_prior(q), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ("mean", "logvar"), [(0.0, 0.0), (1.0, -1.0), (-2.0, 0.7), (0.3, -4.0)]
)
def test_kl_equals_monte_carlo(mean, logvar):
  q = scipy.stats.norm(mean, np.exp(logvar / 2))
  z = q.rvs(200_000, random_state=0)
  ratios = q.logpdf(z) - scipy.stats.norm.logpdf(z)
  kl = kl_to_prior(Gaussian(*np.float32([[mean], [logvar]])))
  error = ratios.std() / np.sqrt(ratios.size)
  assert abs(ratios.mean() - kl[0]) < 4 * error + 1e-6


def test_log_density_equals_scipy_summed_over_latents():
  q, (z, _) = draw(2, spread=1.0), draw(3)
  expected = scipy.stats.norm.logpdf(z, q.mean, np.exp(q.logvar / 2)).sum(-1)
  got = log_density(z, q)
  assert got.shape == (8,)
  np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_standard_has_the_prior_density():
  z = draw(4).mean
  expected = scipy.stats.norm.logpdf(z).sum(-1)
  got = log_density(z, gaussian.standard(z))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_samples_have_the_mean_and_deviation_asked_for():
  n = 100_000
  mean = np.array([0.0, 3.0, -1.0], np.float32)
  std = np.array([1.0, 0.1, 4.0], np.float32)
  q = Gaussian(*(np.tile(a, (n, 1)) for a in (mean, 2 * np.log(std))))
  z = np.float64(reparameterise(jax.random.key(0), q))
  assert (abs(z.mean(0) - mean) < 4 * std / np.sqrt(n)).all()
  assert (abs(z.std(0) - std) < 4 * std / np.sqrt(2 * n)).all()
  standardised = (z - mean) / std
  for column in standardised.T:
    assert scipy.stats.kstest(column, "norm").pvalue > 1e-3
  # Latents are independent: off the diagonal, r √n is standard normal.
  r = np.corrcoef(standardised.T)[~np.eye(3, dtype=bool)]
  assert abs(r).max() * np.sqrt(n) < 4


def test_gradients_of_a_sample_are_one_and_half_its_distance():
  # dz/dμ = 1 and dz/dlogvar = ½ (z − μ): the pathwise derivative.
  q = draw(5, spread=1.0)
  key = jax.random.key(1)
  slope = jax.jit(jax.grad(lambda q: gaussian.reparameterise(key, q).sum()))(q)
  z = reparameterise(key, q)
  np.testing.assert_allclose(slope.mean, 1.0)
  np.testing.assert_allclose(
    slope.logvar, 0.5 * (z - q.mean), rtol=1e-4, atol=1e-5
  )


def test_samples_depend_on_the_key_alone():
  q = draw(6)
  a, b, c = (reparameterise(jax.random.key(seed), q) for seed in (0, 0, 1))
  np.testing.assert_array_equal(a, b)
  assert (np.asarray(a) != np.asarray(c)).all()
