"""Shampoo and Muon against NumPy's singular values and eigenvectors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.method import matrices, optim

LR = 0.1
B1 = 0.8


def make(name, **changes):
  config = {"lr": LR, "b1": B1, "b2": 0.9, "eps": 0.0, "name": name}
  return optim.build(ConfigDict(config | changes))


def moves(tx, gradients):
  """Return the move of each gradient."""
  params = {"x": jnp.zeros(gradients[0].shape)}
  state = tx.init(params)
  update = jax.jit(tx.update)
  found = []
  for gradient in gradients:
    updates, state = update({"x": jnp.float32(gradient)}, state, params)
    found.append(np.asarray(updates["x"]))
  return found


def inverse_root(matrix):
  values, vectors = np.linalg.eigh(matrix)
  values = np.maximum(values, 1e-4 * values.mean())
  return vectors @ np.diag(values**-0.5) @ vectors.T


def expected_moves(gradients, sides):
  """Return what Shampoo is to do, in float64."""
  m = 0.0
  sums = {"rows": 0.0, "columns": 0.0}
  weight = 0.0
  for t, g in enumerate(gradients):
    m = B1 * m + (1 - B1) * g
    ahead = B1 * m / (1 - B1 ** (t + 2)) + (1 - B1) * g / (1 - B1 ** (t + 1))
    if t % 5 == 0:
      weight = 0.98 * weight + 0.02
      sums["rows"] = 0.98 * sums["rows"] + 0.02 * g @ g.T
      sums["columns"] = 0.98 * sums["columns"] + 0.02 * g.T @ g
    if t % 10 == 0:
      roots = {side: inverse_root(s / weight) for side, s in sums.items()}
    if sides == {"rows", "columns"}:
      move = roots["rows"] @ ahead @ roots["columns"]
      move *= np.sqrt(np.trace(sums["rows"]) / weight)
    elif sides == {"rows"}:
      move = roots["rows"] @ ahead * np.sqrt(g.shape[1])
    else:
      move = ahead @ roots["columns"] * np.sqrt(g.shape[0])
    yield -LR * move / max(1.0, np.sqrt(np.mean(move**2)))


@pytest.mark.parametrize(
  ("shape", "sides"),
  [((3, 2), {"rows", "columns"}), ((2, 5), {"rows"}), ((4, 3), {"columns"})],
)
def test_shampoo_divides_by_the_root_of_the_covariance(
  monkeypatch, shape, sides
):
  monkeypatch.setattr(matrices, "LARGEST", 3)
  rng = np.random.default_rng(0)
  gradients = [rng.normal(size=shape) for _ in range(12)]
  found = moves(make("shampoo"), gradients)
  for move, expected in zip(
    found, expected_moves(gradients, sides), strict=True
  ):
    np.testing.assert_allclose(move, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["shampoo", "muon"])
def test_what_is_no_matrix_moves_as_by_nadam(name):
  gradients = [np.array([1.0, -2.0]), np.array([3.0, 2.0])]
  found = moves(make(name), gradients)
  m = 0.0
  v = 0.0
  for t, g in enumerate(gradients):
    m = B1 * m + (1 - B1) * g
    v = 0.9 * v + 0.1 * g**2
    ahead = B1 * m / (1 - B1 ** (t + 2)) + (1 - B1) * g / (1 - B1 ** (t + 1))
    expected = -LR * ahead / np.sqrt(v / (1 - 0.9 ** (t + 1)))
    np.testing.assert_allclose(found[t], expected, rtol=1e-5)


def test_shampoo_leaves_a_matrix_without_gradients_where_it_is():
  for move in moves(make("shampoo"), [np.zeros((3, 2))] * 2):
    np.testing.assert_array_equal(move, 0)


def test_muon_makes_the_singular_values_of_a_matrix_s_move_alike():
  rng = np.random.default_rng(0)
  left = np.linalg.qr(rng.normal(size=(8, 3)))[0]
  right = np.linalg.qr(rng.normal(size=(3, 3)))[0]
  gradient = left @ np.diag([9.0, 3.0, 1.0]) @ right
  (move,) = moves(make("muon", eps=1e-8), [gradient])
  # In the gradient's singular vectors it is nearly −1, at a root mean square
  # of 0.2 · rate. Five iterations leave values from 0.7 to 1.2.
  turned = -left.T @ move @ right.T / (0.2 * LR * np.sqrt(8))
  values = np.diag(turned)
  np.testing.assert_allclose(turned, np.diag(values), atol=1e-5)
  assert values.min() > 0.65
  assert values.max() < 1.25


@pytest.mark.parametrize("name", ["shampoo", "muon"])
def test_decay_shrinks_a_matrix_by_its_share_of_the_rate(name):
  params = {"x": jnp.array([[2.0, 1.0], [0.0, -4.0]])}
  gradients = {"x": jnp.array([[1.0, 2.0], [3.0, 4.0]])}

  def move(**changes):
    tx = make(name, **changes)
    updates, _ = jax.jit(tx.update)(gradients, tx.init(params), params)
    return np.asarray(updates["x"])

  difference = move(weight_decay=0.5) - move()
  np.testing.assert_allclose(difference, -LR * 0.5 * params["x"], atol=1e-6)


def test_momentum_of_muon_is_0_95_where_none_is_set():
  rng = np.random.default_rng(0)
  gradients = [rng.normal(size=(2, 2)) for _ in range(3)]
  run = functools.partial(moves, gradients=gradients)
  usual = run(make("muon"))
  np.testing.assert_array_equal(run(make("muon", momentum=0.95)), usual)
  # A page sets none by 0.
  np.testing.assert_array_equal(run(make("muon", momentum=0.0)), usual)
  assert np.abs(run(make("muon", momentum=0.1))[-1] - usual[-1]).max() > 1e-3


def test_momentum_is_refused_where_shampoo_has_b1():
  with pytest.raises(ValueError, match=r"no use with optim.name=shampoo"):
    make("shampoo", momentum=0.9)


@pytest.mark.parametrize("latents", ["vector", "hierarchy"])
@pytest.mark.parametrize("shape", ["cosine", "shampoo"])
def test_the_rates_of_a_short_training_fall_until_its_last_pass(latents, shape):
  page = f"likelihood:batch=200,passes=7,latents={latents},{shape}"
  group = configs.load(page).optim
  rate = optim.rates(group)["learning_rate"]
  steps = 7 * 300
  assert float(rate(steps)) == pytest.approx(0.01 * group.lr, rel=1e-4)
  assert float(rate(steps - 300)) > 2 * float(rate(steps))
