"""Eigen or YNNPACK for the products of training: a run's own choice."""

import json
import re

import jax
import pytest

from benchmarks import equal_runs
from cvae_jax import train
from cvae_jax.config import ConfigError
from cvae_jax.host import cpu
from cvae_jax.loop import dispatch, job, products
from tests import sharing, small


@pytest.fixture(scope="module")
def ynnpack():
  """Skips a test where the installed XLA has no YNNPACK."""
  options = {cpu.YNNPACK: products._PARTS["ynnpack"]}
  if not products._uses_ynnpack(options):
    pytest.skip("the installed XLA has no YNNPACK")


def count_products(data, name):
  """Count the products of a compiled step that YNNPACK computes."""
  made = job.prepare(small.config(data, "vae", products=name))
  state = jax.eval_shape(made.system.init, jax.random.key(0))
  steps = dispatch.make_dispatch(
    made.system, made.mesh, made.train.take, made.options
  )
  table, rows = made.train(made.rows(0)[None])
  program = steps.lower(state, table, rows, jax.random.key(0), 0).compile()
  fused = r'%ynn_fusion\S* = .*op_name="[^"]*dot_general"'
  return len(re.findall(fused, program.as_text()))


@pytest.mark.usefixtures("ynnpack")
def test_a_choice_prevails_over_the_flags_of_the_process(data):
  with sharing.programs():
    assert count_products(data, "ynnpack") > 0
    assert count_products(data, "eigen") == 0


@pytest.mark.usefixtures("ynnpack")
def test_a_run_keeps_its_choice_and_its_bits_when_it_goes_on(
  data, tmp_path, capsys, monkeypatch
):
  small.evaluate_nothing(monkeypatch)
  config = small.config(data, "vae", products="ynnpack", epochs=1)
  with sharing.programs():
    train.train_and_evaluate(config, tmp_path / "whole")
    assert "products: by ynnpack" in capsys.readouterr().out
    small.stop(config, tmp_path / "parted", 7)
    train.train_and_evaluate(config, tmp_path / "parted")
  folders = tmp_path / "whole", tmp_path / "parted"
  assert equal_runs.differences(*folders) == []
  launches = json.loads((tmp_path / "parted/environment.json").read_text())
  chosen = [launch["bits"]["compiler_options"] for launch in launches]
  assert chosen == 2 * [job.prepare(config).options]


def test_without_a_choice_xla_is_told_nothing(data):
  made = job.prepare(small.config(data, "vae"))
  assert made.options == {}
  assert not any("products" in note for note in made.system.notes)


def test_an_xla_that_cannot_says_so_and_training_goes_on(data, monkeypatch):
  monkeypatch.setitem(products._PARTS, "ynnpack", "LIBRARY_OF_ANOTHER_YEAR")
  made = job.prepare(small.config(data, "vae", products="ynnpack"))
  assert made.options == {}
  assert "the installed XLA cannot be told so" in made.system.notes[-1]


def test_an_unknown_library_is_named(data):
  with pytest.raises(ConfigError, match="'ynpack'; did you mean 'ynnpack'"):
    job.prepare(small.config(data, "vae", products="ynpack"))
