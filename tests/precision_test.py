"""Training with products of bfloat16 numbers: the same method, less exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_jax import config as configs, train
from cvae_jax.config import ConfigError
from cvae_jax.host import cpu
from cvae_jax.loop import job, precision
from cvae_jax.loop.folder.rows import parse_metrics
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.nets.fast import conv, half, ops
from tests import sharing, small, small_zoo

pytestmark = pytest.mark.usefixtures("plain_convolutions")
HALF = {"precision": "bfloat16"}
CASES = {  # a bilinear operation of x and a kernel
  "product": (ops.product, (6, 8), (8, 5)),
  "conv": (lambda x, w: conv.conv(x, w, 2), (2, 8, 8, 3), (4, 4, 3, 5)),
  "valid": (
    lambda x, w: conv.conv(x, w, padding="VALID"),
    (2, 6, 6, 3),
    (3, 3, 3, 4),
  ),
  "transposed": (
    lambda x, w: conv.conv_transpose(x, w, 2),
    (2, 4, 4, 3),
    (4, 4, 3, 5),
  ),
}


def draw(*shapes):
  rng = np.random.default_rng(0)
  return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def rounded(x):
  return np.asarray(jnp.asarray(x, jnp.bfloat16), np.float32)


@pytest.mark.parametrize("case", CASES)
def test_operands_are_rounded_and_sums_are_not(case):
  run, *shapes = CASES[case]
  x, w = draw(*shapes)
  with half.trace_bfloat16():
    got = jax.jit(lambda x, w: run(x, w))(x, w)
  assert got.dtype == np.float32
  exact = run(rounded(x), rounded(w))
  np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-5)
  assert np.abs(got - run(x, w)).max() > 1e-4


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_rounded_operands(case):
  run, *shapes = CASES[case]
  x, w = draw(*shapes)
  g = rounded(draw(run(x, w).shape)[0])

  def total(x, w):
    return (run(x, w) * g).sum()

  with half.trace_bfloat16():
    got = jax.jit(jax.grad(lambda *a: total(*a), (0, 1)))(x, w)
  exact = jax.grad(total, (0, 1))(rounded(x), rounded(w))
  for a, b in zip(got, exact, strict=True):
    assert a.dtype == np.float32
    np.testing.assert_allclose(a, b, rtol=2**-7, atol=2**-7)


def test_a_penalty_on_a_gradient_has_a_gradient():
  run, *shapes = CASES["conv"]
  x, w = draw(*shapes)

  def penalty(w, x):
    return (jax.grad(lambda x: (run(x, w) ** 2).sum())(x) ** 2).mean()

  with half.trace_bfloat16():
    got = jax.jit(jax.grad(lambda *a: penalty(*a)))(w, x)
  exact = jax.grad(penalty)(rounded(w), rounded(x))
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, exact, rtol=0.1, atol=0.02 * exact.max())


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
  """A run of each precision, and a halved one that goes on."""
  folder = tmp_path_factory.mktemp("precision")

  def trained(name, **changes):
    values = small_zoo.widths("vae") | {
      "data.path": str(data),
      "batch_size": 80,  # fewer rows are not rounded on CPU
      "epochs": 2,
      "log_every": 1,
    }
    config = configs.load("configs/zoo.py:vae", values | changes)
    return train.train_and_evaluate(config, folder / name)

  with sharing.programs():
    return {
      "folder": folder,
      "train": trained,
      "float32": trained("float32"),
      "bfloat16": trained("bfloat16", **HALF),
      "resumed": (
        trained("resumed", epochs=1, **HALF),
        trained("resumed", **HALF),
      )[-1],
    }


def losses(folder):
  found, _ = parse_metrics(folder)
  return [row["model/loss"] for row in found if row["split"] == "train"]


def test_the_state_stays_float32(runs):
  leaves = jax.tree.leaves(runs["bfloat16"])
  types = {str(leaf.dtype) for leaf in leaves}
  assert types == {str(leaf.dtype) for leaf in jax.tree.leaves(runs["float32"])}
  assert "bfloat16" not in types


def test_losses_are_those_of_float32_to_a_percent_and_not_to_the_bit(runs):
  exact, halved = (
    losses(runs["folder"] / name) for name in ("float32", "bfloat16")
  )
  np.testing.assert_allclose(halved, exact, rtol=1e-2)
  assert halved != exact


def test_a_run_goes_on_to_the_same_bits(runs):
  for a, b in zip(
    jax.tree.leaves(runs["bfloat16"]),
    jax.tree.leaves(runs["resumed"]),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)


def test_a_run_does_not_go_on_in_another_precision(runs):
  with pytest.raises(RunMismatch, match="precision: 'bfloat16' → 'float32'"):
    runs["train"]("bfloat16", epochs=3)


@pytest.mark.parametrize(
  ("possible", "unit", "note"),
  [
    (True, True, "sums in float32"),
    (True, False, "no matrix unit for them (AMX)"),
    (False, True, "slower than --config.precision=float32"),
  ],
)
def test_a_note_says_what_it_costs_on_this_processor(
  data, monkeypatch, possible, unit, note
):
  monkeypatch.setattr(precision, "_is_possible", lambda: possible)
  monkeypatch.setattr(cpu, "has_matrix_unit", lambda: unit)
  made = job.prepare(small.config(data, **HALF))
  assert note in made.system.notes[-1]
  assert bool(made.options) == possible


def test_eigen_multiplies_no_bfloat16(data):
  with pytest.raises(ConfigError, match="only YNNPACK"):
    job.prepare(small.config(data, products="eigen", **HALF))


def test_float32_is_the_system_as_it_is(data):
  config = small.config(data)
  system = configs.resolve(config)
  made = job.prepare(config, system=system).system
  assert made.step is system.step
  assert made.notes == system.notes


def test_an_unknown_precision_is_named(data):
  with pytest.raises(ConfigError, match="'float16'; did you mean 'bfloat16'"):
    job.prepare(small.config(data, precision="float16"))
