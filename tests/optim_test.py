"""Optimisers: what each key of config.optim does, against NumPy."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.method import optim, schedules

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


def trained(config, gradients):
  """Return the parameters after one step for each gradient."""
  tx = optim.build(ConfigDict(config))
  params = dict(PARAMS)
  state = tx.init(params)
  found = []
  for gradient in gradients:
    updates, state = tx.update({"kernel": jnp.array(gradient)}, state, params)
    params = optax.apply_updates(params, updates)
    found.append(np.asarray(params["kernel"]))
  return found


def test_the_defaults_of_a_page_are_adam_as_it_was():
  config = ConfigDict(configs.optimiser(lr=LR, decay=1e-6, eps=1e-7))
  before = optax.adam(lambda step: LR * (1 / (1 + 1e-6 * step)), eps=1e-7)
  tx = optim.build(config)
  old = before.init(PARAMS)
  new = tx.init(PARAMS)
  for _ in range(3):
    a, old = before.update(GRADIENTS, old, PARAMS)
    b, new = tx.update(GRADIENTS, new, PARAMS)
    np.testing.assert_array_equal(a["kernel"], b["kernel"])
  assert jax.tree.structure(old) == jax.tree.structure(new)


@pytest.mark.parametrize("name", optim.NAMES)
def test_every_named_optimiser_lowers_a_quadratic(name):
  config = ConfigDict(configs.optimiser(lr=0.05, eps=1e-7, name=name))
  tx = optim.build(config)
  params = PARAMS
  state = tx.init(params)
  update = jax.jit(tx.update)
  for _ in range(50):
    updates, state = update(params, state, params)  # of ½ |x|²
    params = optax.apply_updates(params, updates)
  assert optax.tree.norm(params) < optax.tree.norm(PARAMS)


def test_sgd_with_momentum_is_its_recurrence():
  config = {"lr": LR, "name": "sgd", "momentum": 0.9}
  found = trained(config, [(1.0, 2.0), (-3.0, 0.5)])
  velocity = np.zeros(2)
  x = np.asarray(PARAMS["kernel"], np.float64)
  for gradient, after in zip([(1.0, 2.0), (-3.0, 0.5)], found, strict=True):
    velocity = 0.9 * velocity + np.array(gradient)
    x = x - LR * velocity
    np.testing.assert_allclose(after, x, rtol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_sm3_has_the_momentum_and_the_schedule_that_the_config_says(momentum):
  config = {"lr": LR, "name": "sm3", "momentum": momentum}
  config |= {"schedule": "linear", "steps": 4}
  gradients = [(1.0, 2.0), (-3.0, 0.5)]
  found = trained(config, gradients)
  seen = moving = np.zeros(2)
  x = np.asarray(PARAMS["kernel"], np.float64)
  for step, gradient in enumerate(np.array(gradients)):
    seen = seen + gradient**2  # of a vector sm3 is Adagrad
    scaled = gradient / np.sqrt(seen + 1e-8)
    moving = momentum * moving + (1 - momentum) * scaled
    x = x - LR * (1 - step / 4) * moving
    np.testing.assert_allclose(found[step], x, rtol=1e-5)


def test_lion_steps_by_the_sign_of_its_interpolation():
  found = trained({"lr": LR, "name": "lion"}, [(1.0, -2.0), (-3.0, 1.0)])
  np.testing.assert_allclose(found[0], [2.0 - LR, -4.0 + LR], rtol=1e-6)
  # m = 0.01 g after the first step: 0.9 m + 0.1 g' has the sign of g'.
  np.testing.assert_allclose(found[1], [2.0, -4.0], rtol=1e-6)


def test_decay_joins_the_gradient_where_the_optimiser_has_none():
  found = trained({"lr": LR, "name": "sgd", "weight_decay": 0.5}, [(0.0, 1.0)])
  np.testing.assert_allclose(found[0], [1.9, -4.0 - LR * (1.0 - 2.0)])


@pytest.mark.parametrize("name", optim.NAMES)
def test_the_docs_say_which_optimisers_decay_by_the_rate_alone(name):
  docs = Path(__file__).parents[1] / "docs/choices.md"
  row = re.search(
    r"`optim.weight_decay` \| with (.*?) an update", docs.read_text()
  )
  said = re.sub(r"\(.*?\)", "", row[1]).replace(" and ", ", ").split(", ")
  found = trained(
    {"lr": LR, "name": name, "weight_decay": 0.5}, [(0.0, 0.0)] * 5
  )
  alone = np.allclose(found[-1], (1 - LR * 0.5) ** 5 * np.array([2.0, -4.0]))
  assert alone == (name in map(str.strip, said))


def test_an_unknown_optimiser_is_named_beside_the_known():
  with pytest.raises(ValueError, match=r"optim.name is one of .*lion.*'lyon'"):
    optim.build(ConfigDict({"lr": LR, "name": "lyon"}))


@pytest.mark.parametrize(
  ("changes", "expected"),
  [
    (
      {"schedule": "cosine", "steps": 100},
      lambda t: (1 + np.cos(np.pi * t)) / 2,
    ),
    ({"schedule": "linear", "steps": 100, "final": 0.2}, lambda t: 1 - 0.8 * t),
    ({"schedule": "exponential", "steps": 100, "final": 0.1}, lambda t: 0.1**t),
  ],
)
def test_a_schedule_is_its_formula_and_holds_after_its_steps(changes, expected):
  rate = schedules.learning_rate(ConfigDict({"lr": LR} | changes))
  for step in (0, 10, 50, 99, 100, 300):
    share = min(step / 100, 1.0)
    found = float(rate(jnp.int32(step)))
    np.testing.assert_allclose(found, LR * expected(share), atol=1e-8)


def test_stages_are_those_of_the_importance_weighted_paper():
  # 3^i passes at 0.001 · 10^(−i/7), i = 0 … 7: 3,280 passes in all.
  config = {"lr": 1e-3, "schedule": "stages", "steps": 32_800, "final": 0.1}
  rate = schedules.learning_rate(ConfigDict(config))
  start = 0
  for i in range(8):
    for step in (start, start + 10 * 3**i - 1):
      found = float(rate(jnp.int32(step)))
      np.testing.assert_allclose(found, 1e-3 * 10 ** (-i / 7), rtol=1e-5)
    start += 10 * 3**i
  assert start == 32_800


def test_warm_up_rises_to_the_rate_in_its_steps():
  config = {"lr": LR, "warmup": 4, "decay": 0.0}
  rate = schedules.learning_rate(ConfigDict(config))
  found = [float(rate(jnp.int32(step))) for step in range(6)]
  np.testing.assert_allclose(found, LR * np.array([0.25, 0.5, 0.75, 1, 1, 1]))


def test_a_schedule_without_its_length_is_refused():
  with pytest.raises(ValueError, match=r"optim\.steps"):
    optim.build(ConfigDict({"lr": LR, "schedule": "cosine"}))


def test_a_player_that_rests_has_the_rate_of_the_step_it_moves_in():
  config = {"name": "sgd", "lr": 1.0, "schedule": "linear", "steps": 20}
  tx = optim.build(ConfigDict(config | {"final": 0.0, "decay": 0.0}), every=5)
  state = tx.init(PARAMS)
  found = []
  for _ in range(4):  # in steps 4, 9, 14 and 19
    updates, state = tx.update({"kernel": jnp.ones(2)}, state, PARAMS)
    found.append(-float(updates["kernel"][0]))
  np.testing.assert_allclose(found, [0.8, 0.55, 0.3, 0.05], rtol=1e-5)


def test_accumulation_is_the_step_of_the_mean_gradient():
  gradients = [(1.0, 2.0), (3.0, -6.0), (0.5, 0.5), (1.5, -0.5)]
  config = {"lr": LR, "eps": 1e-3, "decay": 0.5}
  found = trained(config | {"accumulate": 2}, gradients)
  np.testing.assert_array_equal(found[0], PARAMS["kernel"])
  np.testing.assert_array_equal(found[2], found[1])
  # The nth update has the rate of the step that it is made in: 1, then 3.
  state = optax.scale_by_adam(eps=1e-3).init(PARAMS)
  params = PARAMS
  for mean, step, after in (
    ((2.0, -2.0), 1, found[1]),
    ((1.0, 0.0), 3, found[3]),
  ):
    direction, state = optax.scale_by_adam(eps=1e-3).update(
      {"kernel": jnp.array(mean)}, state
    )
    rate = LR / (1 + 0.5 * step)
    params = {"kernel": params["kernel"] - rate * direction["kernel"]}
    np.testing.assert_allclose(after, params["kernel"], rtol=1e-5)
