"""The settings that commands train with on CPU."""

import os
import re
import resource
import subprocess
import sys
import threading
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
import pytest

from cvae_jax.host import cpu, memory
from cvae_jax.method import update
from cvae_jax.types import Player
from tests import small

# Newer jaxlibs no longer have every flag.
LIBRARY = Path(jaxlib.__file__).parent / "libjax_common.so"
OURS = [
  flag
  for name, flag in cpu.FLAGS.items()
  if b"\0%b\0" % name.encode() in LIBRARY.read_bytes()
]


@pytest.fixture
def flags(monkeypatch):
  """Sets the flags over given ones and returns them as a list."""

  def set_flags(given=None):
    monkeypatch.setenv("XLA_FLAGS", given or "")
    cpu.set_flags()
    return os.environ["XLA_FLAGS"].split()

  return set_flags


def jaxlib_of(folder, *names, old=""):
  """Make importlib find a jaxlib whose XLA knows these flags."""
  text = "".join(f"\0{name}\0" for name in names)
  (folder / "libjax_common.so").write_text(text + old)
  spec = types.SimpleNamespace(submodule_search_locations=[str(folder)])
  return lambda name: spec if name == "jaxlib" else None


def test_flags_come_before_those_given_and_once(flags):
  given = "--xla_force_host_platform_device_count=1"
  assert flags(given) == [*OURS, given]  # the last of a name prevails
  assert flags(" ".join([*OURS, given])) == [*OURS, given]
  theirs = "--xla_cpu_experimental_ynn_fusion_type="
  assert flags(theirs) == [f for f in OURS if not f.startswith(theirs)] + [
    theirs
  ]


def test_a_flag_that_the_installed_xla_does_not_know_is_not_set(
  flags, tmp_path, monkeypatch
):
  find = "importlib.util.find_spec"
  # A flag that XLA had once is the name of a field: no zero bytes around it.
  gone = f"\x1b{cpu.MULTI_OUTPUT_FUSION}R"
  other = jaxlib_of(tmp_path, "xla_cpu_something_else", old=gone)
  monkeypatch.setattr(find, other)
  assert flags() == []
  monkeypatch.setattr(find, jaxlib_of(tmp_path, "a", cpu.MULTI_OUTPUT_FUSION))
  assert flags() == [cpu.FLAGS[cpu.MULTI_OUTPUT_FUSION]]
  (tmp_path / "libjax_common.so").unlink()
  assert flags("--given") == ["--given"]


def test_tuning_can_be_switched_off(flags, monkeypatch):
  monkeypatch.setenv("CVAE_JAX_TUNE", "0")
  monkeypatch.setenv("XLA_FLAGS", "")
  cpu.tune()
  assert os.environ["XLA_FLAGS"] == ""


def test_a_script_is_tuned_while_jax_has_not_computed(monkeypatch):
  monkeypatch.delenv("CVAE_JAX_TUNE", raising=False)
  monkeypatch.setenv("XLA_FLAGS", "")
  monkeypatch.setattr(cpu, "_tuned", threading.Event())
  monkeypatch.setattr(cpu, "keep_freed_memory", lambda: None)
  monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
  bridge = "jax._src.xla_bridge.backends_are_initialized"
  said = []
  monkeypatch.setattr(bridge, lambda: True)
  cpu.tune_script(said.append)
  assert len(said) == 1
  assert "cpu.tune()" in said.pop()
  assert os.environ["XLA_FLAGS"] == ""  # it would not be read
  monkeypatch.setattr(bridge, lambda: False)
  cpu.tune_script(said.append)
  assert os.environ["XLA_FLAGS"].split() == OURS
  monkeypatch.setattr(bridge, lambda: True)
  cpu.tune_script(said.append)  # it was tuned
  assert not said


def adam_step(fuses: bool):
  """Return (compiled text, parameters and moments after three updates)."""
  cpu.fuses_outputs = lambda: fuses

  def loss(params, model_state, batch, key, step):
    value = ((params["net"]["kernel"] * batch["x"]).sum() - 1.0) ** 2
    return value, ({}, model_state)

  players = {"one": Player(loss=loss, tx=optax.adam(0.1), owns=("net",))}
  kernel = jnp.linspace(-1.0, 1.0, 4096)
  state = update.init_state(players, {"net": {"kernel": kernel}})
  batch = {"x": jnp.cos(jnp.arange(4096.0))}
  step = jax.jit(update.make_step(players))
  given = batch, jax.random.key(0)
  text = step.lower(state, *given, 0).compile().as_text()
  for at in range(3):
    state, _ = step(state, *given, at)
  return text, jax.tree.map(np.asarray, (state.params, state.opt_state))


def check_one_loop():
  """Compare updates, in a process of its own whose XLA has commands' flags."""
  text, fused = adam_step(fuses=True)
  three = "= (f32[4096]{0}, f32[4096]{0}, f32[4096]{0}) fusion("
  assert three in text
  _, apart = adam_step(fuses=False)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
    fused,
    apart,
  )


@pytest.mark.skipif(
  cpu.FLAGS[cpu.MULTI_OUTPUT_FUSION] not in OURS or sys.platform != "linux",
  reason="the installed XLA writes no loops of several outputs",
)
def test_one_loop_writes_parameters_and_moments():
  code = "from tests import cpu_test; cpu_test.check_one_loop()"
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=small.ROOT,
    env=os.environ | {"XLA_FLAGS": " ".join(OURS)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_memory_under_which_xla_hangs_is_refused(monkeypatch, name):
  limits = {getattr(resource, name): 600_000 * 1024}
  monkeypatch.setattr(
    resource,
    "getrlimit",
    lambda n: (limits.get(n, resource.RLIM_INFINITY),) * 2,
  )
  with pytest.raises(memory.TooLittleMemory, match=r"limit of 614 MB .ulimit"):
    memory.check()
  limits.clear()
  memory.check()


@pytest.mark.parametrize(
  "flags", ["--xla_no_such_flag=1", "--xla_cpu_enable_fast_math=1 --xla_nix"]
)
def test_a_flag_that_xla_does_not_know_is_named(monkeypatch, flags):
  monkeypatch.setenv("XLA_FLAGS", flags)
  with pytest.raises(cpu.UnknownFlag, match=r"--xla_n.*remove it from XLA_FLA"):
    cpu.check_flags()


@pytest.mark.parametrize(
  "flags",
  [
    "",
    "--xla_force_host_platform_device_count=2",
    "--xla_cpu_enable_fast_math=true\t-xla_dump_to=/tmp/x",
    "flags.txt --xla_of_a_file",
  ],
)
def test_flags_that_xla_knows_pass(monkeypatch, flags):
  monkeypatch.setenv("XLA_FLAGS", flags)
  cpu.check_flags()


def test_nothing_that_imports_jax_stands_before_the_benchmarks_tuning():
  code = (small.ROOT / "benchmarks/ours.py").read_text()
  before, found, _ = code.partition("cpu.tune(")
  assert found
  names = re.findall(r"^(?:from|import) (\S+)", before, re.MULTILINE)
  assert set(names) <= {*sys.stdlib_module_names, "cvae_jax.host"}
