"""The face ladder against the tables of its spec."""

import csv

import jax
import numpy as np
import pytest

from cvae_jax import config
from cvae_jax.measures.verify import CURVES
from cvae_jax.method import schedules

COUNTS = {
  1: (3_291_008, 2_985_783),
  2: (3_360_560, 3_020_343),
  3: (7_031_648, 7_103_239),
  4: (7_107_584, 7_221_679),
  5: (17_256_512, 7_221_679),
  6: (17_256_912, 7_221_679),
  7: (17_256_912, 7_221_679),
  8: (17_256_912, 43_752_679),
  9: (17_256_912, 48_207_679),
  10: (17_288_112, 83_857_919),
  11: (17_256_912, 48_207_679),
  12: (17_249_112, 39_295_119),
  13: (17_249_112, 39_295_119),
  14: (17_263_152, 55_337_727),
  15: (17_263_152, 55_337_727),
}


def _load(model):
  return config.load(f"configs/faces.py:model={model}")


@pytest.mark.parametrize("model", COUNTS)
def test_parameter_counts_are_the_table_s(model):
  system = config.resolve(_load(model))
  params = jax.eval_shape(system.init, jax.random.key(0)).params
  counted = tuple(
    sum(leaf.size for leaf in jax.tree.leaves(params[branch]))
    for branch in ("encoder", "decoder")
  )
  assert counted == COUNTS[model]


@pytest.mark.parametrize(
  ("field", "known"),
  [
    ("encoder.activation", "relu, silu"),
    ("encoder.head_activation", "tanh"),
    ("decoder.activation", "relu, silu"),
    ("decoder.shortcuts", "shortcuts is one of '', z, z.condition"),
  ],
)
def test_a_misspelt_name_is_refused_with_those_there_are(field, known):
  page = config.load("configs/faces.py:model=9", {f"model.{field}": "sillu"})
  with pytest.raises(ValueError, match=f"{known}.*; found 'sillu'"):
    jax.eval_shape(config.resolve(page).init, jax.random.key(0))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"model.decoder.features": (80, 60, 40, 1)},
      r"gives \(120, 120, 1\), expected \(120, 120, 3\)",
    ),
    ({"model.decoder.map": (8, 8, 120)}, r"gives \(64, 64, 3\), expected"),
    ({"model.encoder.strides": (2, 2)}, r"one entry a layer; found .*\(2, 2\)"),
    ({"model.encoder.streams": (8,) * 5}, r"leave 4 convolutions; found"),
    ({"model.encoder.dropout": (1.0,) * 4}, r"found 1.0 .* to below 1"),
  ],
)
def test_networks_that_do_not_fit_say_what_does_not(change, message):
  with pytest.raises(ValueError, match=message):
    _step(config.resolve(config.load("configs/faces.py:model=9", change)))


def _step(system):
  """Traces a step on two faces."""
  kinds = {"image": "uint8", "condition": "float32"}
  batch = {
    name: jax.ShapeDtypeStruct((2, *shape), kinds[name])
    for name, shape in system.columns.items()
  }
  key = jax.random.key(0)
  state = jax.eval_shape(system.init, key)
  return jax.eval_shape(system.step, state, batch, key, 0)


@pytest.mark.parametrize("change", [{"floor": 0.0}, {"every": 0}])
def test_a_staircase_that_never_ends_is_refused(change):
  stairs = {"init": 1.0, "factor": 0.5, "floor": 0.1, "start": 0, "every": 1}
  with pytest.raises(ValueError, match="expected a floor above 0"):
    schedules.staircase(**(stairs | change))


def test_all_240_learning_rates_print_as_the_source_printed_them():
  with (CURVES / "faces.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 240
  stairs = schedules.staircase(2e-4, 0.99, 1e-4, start=4 * 93, every=93)
  for row in rows:
    first = 93 * (int(row["epoch"]) - 1)
    for step in (first, first + 92):
      assert f"{float(stairs(step)):.4e}" == row["lr"]


@pytest.mark.parametrize(
  ("step", "rate"),
  [(0, 2e-4), (92, 1.999816e-4), (372, 1.979264e-4), (1487, 1.770138e-4)],
)
def test_the_decay_shrinks_the_effective_rate(step, rate):
  lr = schedules.learning_rate(_load(15).optim)
  assert float(lr(step)) == pytest.approx(rate, rel=1e-6)


def test_the_floor_is_a_stop_that_the_last_drop_overshoots():
  stairs = schedules.staircase(2e-4, 0.99, 1e-4, start=4 * 93, every=93)
  assert float(stairs(93 * 71)) > 1e-4  # epoch 72
  frozen = [float(stairs(93 * epoch)) for epoch in (72, 73, 500)]
  np.testing.assert_allclose(frozen, 9.99674e-5, rtol=1e-6)


@pytest.mark.parametrize("name", ["digits.py:model=6", "faces.py:model=0"])
def test_a_rung_that_is_not_there_is_refused(name):
  with pytest.raises(
    config.ConfigError, match=r"no model [60]; there are 1 to"
  ):
    config.load(f"configs/{name}")
