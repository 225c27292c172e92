"""What objectives add to −ELBO: against NumPy, and in whole systems."""

import functools
import re

import jax
import numpy as np
import pytest
from scipy import stats

from cvae_jax.method import regularisers
from cvae_jax.method.gaussian import Gaussian
from tests.choices_test import KEY, SMALL, batch, made, stepped

RNG = np.random.default_rng(1)
B = 7
Z = 3
ROWS = 900
MEAN = RNG.normal(0, 1.5, (B, Z))
LOGVAR = RNG.normal(-1, 0.5, (B, Z))
DRAWN = RNG.normal(0, 1, (B, Z))
PRIOR = RNG.normal(0, 1, (B, Z))
Q = Gaussian(MEAN.astype(np.float32), LOGVAR.astype(np.float32))
AT = DRAWN.astype(np.float32)


def test_total_correlation_is_the_estimate_by_weighted_sampling():
  total = 0.0
  for z in DRAWN:  # Chen et al. 2018, appendix C.1
    density = stats.norm.pdf(z, MEAN, np.exp(0.5 * LOGVAR))  # [B, Z]
    joint = np.log(density.prod(axis=1).sum() / (ROWS * B))
    each = np.log(density.sum(axis=0) / (ROWS * B)).sum()
    total += (joint - each) / B
  found = jax.jit(regularisers.total_correlation, static_argnums=2)(AT, Q, ROWS)
  np.testing.assert_allclose(found, total, rtol=1e-5)


def test_total_correlation_s_gradient_is_the_finite_difference():
  @jax.jit
  def of(mean):
    q = Gaussian(mean, Q.logvar)
    return regularisers.total_correlation(AT, q, ROWS)

  gradient = jax.jit(jax.grad(of))(Q.mean)
  move = np.zeros((B, Z), np.float32)
  move[2, 1] = 1e-2
  numeric = (of(Q.mean + move) - of(Q.mean - move)) / 2e-2
  np.testing.assert_allclose(gradient[2, 1], numeric, rtol=2e-2)


def discrepancy(a, b):
  def kernel(one, two):
    apart = ((one - two) ** 2).sum() / (2 * Z)
    return np.mean([np.exp(-apart / s) for s in (0.25, 0.5, 1, 2, 4)])

  pairs = [(i, j) for i in range(B) for j in range(B)]
  within = [
    np.mean([kernel(x[i], x[j]) for i, j in pairs if i != j]) for x in (a, b)
  ]
  return sum(within) - 2 * np.mean([kernel(a[i], b[j]) for i, j in pairs])


def test_the_discrepancy_is_a_sum_over_pairs():
  found = jax.jit(regularisers.mean_discrepancy)(AT, PRIOR.astype(np.float32))
  np.testing.assert_allclose(found, discrepancy(DRAWN, PRIOR), rtol=1e-4)


def test_the_discrepancy_of_one_distribution_is_around_0():
  a, b = np.random.default_rng(0).normal(0, 1, (2, 2000, 2)).astype("f4")
  found = jax.jit(regularisers.mean_discrepancy)
  assert abs(float(found(a, b))) < 1e-3
  assert float(found(a + 1, b)) > 0.05


@pytest.mark.parametrize("name", ["dip_i", "dip_ii"])
def test_dip_holds_a_covariance_against_the_identity(name):
  spread = np.cov(MEAN.T, bias=True)
  if name == "dip_ii":
    spread = spread + np.diag(np.exp(LOGVAR).mean(axis=0))
  off = spread - np.diag(np.diag(spread))
  expected = (off**2).sum() + 10 * ((np.diag(spread) - 1) ** 2).sum()
  found = regularisers.Regulariser(name, 1.0, 10.0).terms(AT, Q, None)["dip"]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_shuffled_latents_keep_their_values_and_lose_their_company():
  z = np.tile(np.arange(50.0)[:, None], (1, Z))
  found = np.asarray(regularisers.permute(KEY, z))
  np.testing.assert_array_equal(np.sort(found, axis=0), z)
  assert (found[:, 0] != found[:, 1]).mean() > 0.8


CASES = [
  *(("zoo.py:vae", name) for name in (*regularisers.NAMES, "factor")),
  *(("digits.py:smoke", name) for name in regularisers.NAMES),
]


@functools.cache
def plain(page):
  """Return a page's first state, its terms and the metrics of a step."""
  system = made(page)
  state = jax.jit(system.init)(KEY)
  terms = jax.jit(system.evaluate)(state, batch(system), KEY)
  _, metrics = jax.jit(system.step)(state, batch(system), KEY, np.int32(0))
  return state, terms, metrics


@pytest.mark.parametrize(("page", "name"), CASES)
def test_an_objective_adds_its_term_and_leaves_the_elbo_alone(page, name):
  state, expected, before = plain(page)
  system = made(page, loss__objective=name, loss__strength=3.0)
  if name == "factor":  # it has a discriminator
    state = jax.jit(system.init)(KEY)
  found = jax.jit(system.evaluate)(state, batch(system), KEY)
  np.testing.assert_allclose(found["elbo"], expected["elbo"], rtol=1e-6)
  _, after = jax.jit(system.step)(state, batch(system), KEY, np.int32(0))
  term = {"dip_i": "dip", "dip_ii": "dip", "factor": "tc"}.get(name, name)
  added = 3.0 * float(after[f"model/{term}"])
  loss = float(before["model/loss"]) + added
  np.testing.assert_allclose(after["model/loss"], loss, rtol=1e-5)
  np.testing.assert_allclose(after["model/elbo"], before["model/elbo"])


@functools.cache
def factor():
  return made("zoo.py:vae", loss__objective="factor", loss__strength=2.0)


def test_factor_s_discriminator_is_a_player_and_learns():
  system = factor()
  first = jax.jit(system.init)(KEY)
  state, metrics = stepped(system, steps=3, state=first)
  moved = jax.tree.map(
    lambda a, b: float(np.abs(a - b).max()), first.params, state.params
  )
  for branch in ("encoder", "decoder", "discriminator"):
    assert max(jax.tree.leaves(moved[branch])) > 0
  assert 0 <= metrics["discriminator/accuracy"] <= 1
  assert metrics["discriminator/gradient_norm"] > 0


def test_a_discriminator_tells_dependent_latents_from_shuffled_ones():
  # Its loss is that of Kim and Mnih 2018: log 2 where it can tell nothing.
  system = factor()
  state = jax.jit(system.init)(KEY)
  head = state.params["discriminator"]["logit"]
  silent = jax.tree.map(lambda a: 0 * a, head)
  params = {
    **state.params,
    "discriminator": {**state.params["discriminator"], "logit": silent},
  }
  state = state.replace(params=params)
  _, metrics = jax.jit(system.step)(state, batch(system), KEY, np.int32(0))
  np.testing.assert_allclose(
    metrics["discriminator/loss"], np.log(2), rtol=1e-6
  )
  np.testing.assert_allclose(metrics["model/tc"], 0, atol=1e-7)


def test_factor_encodes_a_batch_once_for_both_players():
  system = factor()
  state = jax.eval_shape(system.init, KEY)
  step = jax.jit(system.step).lower(state, batch(system), KEY, np.int32(0))
  products = re.findall(r"= (f32\S+)\{\S* dot\(", step.compile().as_text())
  # The encoder's 5 units, and the gradient of the decoder's.
  assert products.count("f32[4,5]") == 2
  # Means and log-variances of 3 latents, and the gradients of z by both nets.
  assert products.count("f32[4,3]") == 4


@pytest.mark.parametrize("name", ["iwae", "factor", "btc"])
def test_a_cvae_names_the_objectives_that_it_has(name):
  with pytest.raises(ValueError, match=r"elbo, tc, mmd, dip_i, dip_ii; found"):
    made("digits.py:smoke", loss__objective=name)
  assert "digits.py:smoke" in SMALL
