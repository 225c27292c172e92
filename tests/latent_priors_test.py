"""Priors of latents against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import integrate, stats

from cvae_jax.method import gaussian, latent_priors
from cvae_jax.method.gaussian import Gaussian

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def build(name, latents=2, components=3, conditions=2):
  config = ConfigDict({"prior": {"name": name, "components": components}})
  return latent_priors.build(config, latents, (2, 2, 1), conditions)


def normal(*shape):
  return RNG.normal(0, 1, shape).astype(np.float32)


def test_the_conditional_kl_is_that_of_the_two_gaussians():
  prior = build("conditional")
  branch = {"kernel": normal(2, 4), "bias": normal(4)}
  params = {"prior": branch}
  c = normal(3, 2)
  mean, logvar = np.split(c @ branch["kernel"] + branch["bias"], 2, axis=-1)
  q = Gaussian(normal(3, 2), normal(3, 2))
  expected = 0.5 * (
    logvar
    - q.logvar
    + (np.exp(q.logvar) + (q.mean - mean) ** 2) / np.exp(logvar)
    - 1
  )
  found = prior.kl(params, prior.standardise(params, q, c), None, None)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_the_conditional_prior_places_is_where_the_posterior_was():
  prior = build("conditional")
  params = {"prior": {"kernel": normal(2, 4), "bias": normal(4)}}
  c = normal(3, 2)
  q = Gaussian(normal(3, 2), normal(3, 2))
  noise = normal(3, 2)
  e = prior.standardise(params, q, c)
  e = e.mean + np.exp(0.5 * np.asarray(e.logvar)) * noise
  expected = q.mean + np.exp(0.5 * q.logvar) * noise
  np.testing.assert_allclose(prior.place(params, e, c), expected, rtol=1e-4)


def test_the_conditional_prior_begins_as_the_standard_one():
  prior = build("conditional")
  q = Gaussian(normal(3, 2), normal(3, 2))
  found = prior.standardise(prior.init(KEY), q, normal(3, 2))
  np.testing.assert_array_equal(found.mean, q.mean)
  np.testing.assert_array_equal(found.logvar, q.logvar)


def test_a_mixture_s_density_is_scipy_s_and_its_draws_have_its_moments():
  prior = build("mixture")
  branch = {"logits": normal(3), "mean": normal(3, 2), "logvar": normal(3, 2)}
  share = np.exp(branch["logits"]) / np.exp(branch["logits"]).sum()
  z = normal(5, 2)
  densities = [
    w * stats.multivariate_normal(m, np.diag(np.exp(v))).pdf(z)
    for w, m, v in zip(share, branch["mean"], branch["logvar"], strict=True)
  ]
  params = {"prior": jax.tree.map(jnp.asarray, branch)}
  found = jax.jit(lambda z: prior.log_density(params, z, None))(z)
  np.testing.assert_allclose(found, np.log(sum(densities)), rtol=1e-4)
  drawn = np.asarray(jax.jit(lambda: prior.draw(params, KEY, 50_000, None))())
  np.testing.assert_allclose(drawn.mean(0), share @ branch["mean"], atol=0.03)


def test_the_density_of_a_mixture_of_one_latent_sums_to_1():
  prior = build("mixture", latents=1)
  params = prior.init(KEY)
  z = np.linspace(-9, 9, 2001, dtype=np.float32)[:, None]
  log_p = jax.jit(lambda z: prior.log_density(params, z, None))(z)
  total = integrate.trapezoid(np.exp(np.asarray(log_p, np.float64)), z[:, 0])
  assert total == pytest.approx(1, abs=1e-4)


def test_the_vamp_prior_is_the_mixture_of_posteriors_of_pseudo_inputs():
  prior = build("vamp")
  params = prior.init(KEY)

  def encode(image, c):
    rows = image.reshape(len(image), -1)
    return Gaussian(rows[:, :2] - c, rows[:, 2:])

  q = encode(jax.nn.sigmoid(params["prior"]["image"]), 0.5)
  z = normal(4, 2)
  densities = np.mean(
    [
      stats.multivariate_normal(m, np.diag(np.exp(v))).pdf(z)
      for m, v in zip(*map(np.asarray, q), strict=True)
    ],
    axis=0,
  )
  found = prior.log_density(params, jnp.asarray(z), encode)
  np.testing.assert_allclose(found, np.log(densities), rtol=1e-4)


def test_the_estimate_of_the_kl_has_the_exact_mean():
  # A mixture whose components are all N(0, I) is the standard prior.
  prior = build("mixture")
  params = {
    "prior": {
      "logits": np.zeros(3, np.float32),
      "mean": np.zeros((3, 2), np.float32),
      "logvar": np.zeros((3, 2), np.float32),
    }
  }
  q = Gaussian(
    np.full((20_000, 2), 0.7, np.float32), np.full((20_000, 2), -1.0)
  )
  z = gaussian.reparameterise(KEY, q)
  found = jax.jit(lambda z: prior.kl(params, q, z, None))(z).mean()
  expected = gaussian.kl_to_prior(Gaussian(q.mean[:1], q.logvar[:1])).sum()
  assert float(found) == pytest.approx(float(expected), abs=0.03)


def test_what_there_is_not_is_refused():
  with pytest.raises(ValueError, match=r"prior.name is one of .*'flow'"):
    build("flow")
  with pytest.raises(ValueError, match="no condition"):
    build("conditional", conditions=0)
