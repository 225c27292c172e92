"""Evaluation: exact means over every example of a split, once."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from cvae_jax.config import loop
from cvae_jax.loop import evaluate
from cvae_jax.loop.feed import Feed
from cvae_jax.types import Masked

KEY = jax.random.key(0)


def make(rows):
  x = np.random.default_rng(rows).uniform(0.5, 9, (rows, 3)).astype(np.float32)
  return x, Feed({"x": x})


def per_example(state, batch, key):
  return {"sum": state * batch["x"].sum(-1), "first": batch["x"][:, 0]}


@pytest.fixture(scope="module")
def mean():
  return evaluate.make_mean(per_example)


@pytest.mark.parametrize(
  ("rows", "size"), [(10, 4), (8, 4), (3, 4), (1, 4), (13, 1)]
)
def test_mean_is_over_examples_and_not_over_batches(mean, rows, size):
  x, source = make(rows)
  means = mean(jnp.float32(2), source, size, KEY)
  x = x.astype(np.float64)
  np.testing.assert_allclose(means["sum"], 2 * x.sum(-1).mean(), rtol=1e-6)
  np.testing.assert_allclose(means["first"], x[:, 0].mean(), rtol=1e-6)
  assert all(type(value) is float for value in means.values())


@pytest.mark.parametrize(("rows", "size"), [(10, 4), (13, 1), (40, 40)])
def test_a_standard_error_is_scipys_also_far_from_zero(rows, size):
  def far(state, batch, key):
    known = jnp.arange(len(batch["x"])) >= 0
    return per_example(state, batch, key) | {
      "far": batch["x"][:, 0] - 6000,
      "some": Masked(batch["x"][:, 1], known & (batch["x"][:, 2] > 3)),
    }

  x, source = make(rows)
  found = evaluate.make_estimate(far)(1.0, source, size, KEY)
  wanted = {
    "first": x[:, 0],
    "far": x[:, 0] - 6000,
    "some": x[x[:, 2] > 3, 1],
  }
  for name, values in wanted.items():
    error = stats.sem(values.astype(np.float64))
    assert found[name].error == pytest.approx(error, rel=1e-3), name


def test_one_row_has_no_standard_error():
  found = evaluate.make_estimate(per_example)(1.0, make(1)[1], 4, KEY)
  assert found["sum"].error is None


def test_mean_does_not_depend_on_the_batch_size(mean):
  _, source = make(10)
  means = [mean(jnp.float32(1), source, size, KEY) for size in (1, 4, 10)]
  for other in means[1:]:
    np.testing.assert_allclose(other["sum"], means[0]["sum"], rtol=1e-6)


def test_padding_may_be_anything():
  # Row 0 pads; by position, what the padding gives is NaN.
  def poisoned(state, batch, key):
    place = jnp.arange(len(batch["x"]))
    bad = (batch["x"][:, 0] == batch["x"][0, 0]) & (place > 1)
    return {"x": jnp.where(bad, jnp.nan, batch["x"][:, 0])}

  x = np.arange(6, dtype=np.float32)[:, None]
  means = evaluate.make_mean(poisoned)(0.0, Feed({"x": x}), 4, KEY)
  assert means["x"] == 2.5


def test_batches_get_keys_of_their_own_and_calls_the_same_ones():
  def noise(state, batch, key):
    return {"noise": jax.random.uniform(key, batch["x"].shape[:1])}

  mean, (_, source) = evaluate.make_mean(noise), make(8)
  a, b = (mean(0.0, source, 4, KEY)["noise"] for _ in range(2))
  assert a == b
  assert a != mean(0.0, source, 4, jax.random.key(1))["noise"]
  first = mean(0.0, make(4)[1], 4, KEY)["noise"]
  assert abs(a - first) > 1e-3  # equal if both batches had the first's key


def test_a_split_traces_once_whatever_its_last_batch():
  traces = []

  def counting(state, batch, key):
    traces.append(1)
    return per_example(state, batch, key)

  mean, (_, source) = evaluate.make_mean(counting), make(10)
  for state in (1.0, 2.0):
    mean(jnp.float32(state), source, 4, KEY)
  assert len(traces) == 1


def test_a_value_that_is_not_finite_shows_in_the_mean():
  x = np.ones((5, 3), np.float32)
  x[4] = np.nan
  means = evaluate.make_mean(per_example)(1.0, Feed({"x": x}), 2, KEY)
  assert np.isnan(means["sum"])


def test_pictures_are_of_rows_of_all_classes_also_in_sorted_data():
  labels = np.repeat(np.arange(10), 20)
  source = Feed({"x": labels})
  rendered = []
  job = SimpleNamespace(
    config=ConfigDict(loop() | {"seed": 0, "batch_size": 4}),
    mesh=SimpleNamespace(jit=lambda function: function),
    system=SimpleNamespace(
      render=lambda state, batch, *_: rendered.append(batch["x"]) or {}
    ),
    watched=source,
    train=None,
    conditions=SimpleNamespace(panel=lambda: None),
  )
  assess = evaluate.make_assessment(job, lambda *_: {})
  assess(0.0)
  assert {*np.asarray(rendered[0]).tolist()} == {*range(10)}
