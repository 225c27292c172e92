"""Optimisers: what each key of config.optim does, against NumPy."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from cvae_jax.method import optim

PARAMS = {"kernel": jnp.array([2.0, -4.0])}
GRADIENTS = {"kernel": jnp.array([3.0, -4.0])}  # of norm 5
LR = 0.1


def step(**changes):
  """Return the parameters after one step from PARAMS."""
  tx = optim.build(ConfigDict({"lr": LR, "eps": 0.0} | changes))
  updates, _ = tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)
  return np.asarray(optax.apply_updates(PARAMS, updates)["kernel"])


def test_the_first_step_of_adam_is_the_rate_against_the_gradient_s_sign():
  np.testing.assert_allclose(step(), [2.0 - LR, -4.0 + LR], rtol=1e-6)


def test_eps_is_added_to_the_root_of_the_second_moment():
  expected = [2.0 - LR * 3 / (3 + 1), -4.0 + LR * 4 / (4 + 1)]
  np.testing.assert_allclose(step(eps=1.0), expected, rtol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients_together():
  # Clipped to norm 1 the gradients are 0.6 and −0.8.
  expected = [2.0 - LR * 0.6 / (0.6 + 1), -4.0 + LR * 0.8 / (0.8 + 1)]
  np.testing.assert_allclose(step(eps=1.0, clip=1.0), expected, rtol=1e-6)
  np.testing.assert_array_equal(step(eps=1.0, clip=9.0), step(eps=1.0))


def test_weight_decay_shrinks_parameters_by_its_share_of_the_rate():
  decayed = step() - LR * 0.5 * np.asarray(PARAMS["kernel"])
  np.testing.assert_allclose(step(weight_decay=0.5), decayed, rtol=1e-6)


def test_the_moments_decay_as_the_config_says():
  tx = optim.build(ConfigDict({"lr": LR, "b1": 0.5, "b2": 0.25, "eps": 0.0}))
  state = tx.init(PARAMS)
  m = 0.0
  v = 0.0
  for count, gradient in enumerate((1.0, 3.0), 1):
    updates, state = tx.update({"kernel": jnp.full(2, gradient)}, state)
    m = 0.5 * m + 0.5 * gradient
    v = 0.25 * v + 0.75 * gradient**2
    corrected = m / (1 - 0.5**count), v / (1 - 0.25**count)
    expected = -LR * corrected[0] / np.sqrt(corrected[1])
    np.testing.assert_allclose(updates["kernel"], expected, rtol=1e-6)


def test_a_falling_rate_shows_in_the_second_step():
  tx = optim.build(ConfigDict({"lr": LR, "decay": 1.0, "eps": 0.0}))
  state = tx.init(PARAMS)
  for expected in (LR, LR / 2):  # lr / (1 + decay · step)
    updates, state = tx.update(GRADIENTS, state)
    np.testing.assert_allclose(updates["kernel"][0], -expected, rtol=1e-5)


@pytest.mark.parametrize("key", ["clip", "weight_decay"])
def test_a_negative_bound_is_refused(key):
  with pytest.raises(ValueError, match="0 or more"):
    optim.build(ConfigDict({"lr": LR, key: -1.0}))
