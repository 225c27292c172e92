"""The first state of a training: from a checkpoint, another run, or fresh."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.host import commands, files, memory
from cvae_jax.host.console import say
from cvae_jax.host.paths import local
from cvae_jax.loop import keys
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
  check_names,
  shapes,
)
from cvae_jax.loop.folder.restore import (
  abstract_state,
  load_pretrained,
  run_state,
)
from cvae_jax.loop.folder.run_conditions import load_attribute_columns
from cvae_jax.loop.folder.same_run import (
  check_config,
  check_identity,
  check_loop,
)
from cvae_jax.method import additions
from cvae_jax.types import System, TrainState

_PACKED = 0.8  # the largest size of random float32 after compression, a share


def initial_state(
  system: System,
  config: ConfigDict,
  checkpoints: Checkpoints,
  identity: Mapping[str, Any] | None = None,
) -> tuple[TrainState, dict[str, Any]]:
  """Return the state to go on from, and the loop's counters.

  The state is the first of these that exists: 1. the latest undamaged
  checkpoint of the workdir; 2. the parameters of another run and its batch
  statistics, `config.init_from`, with a fresh optimiser; 3. a state from
  scratch. In each case branches of `config.pretrained` come from their files. A
  damaged checkpoint is set aside, as <step>.damaged.

  Raises:
    CheckpointError: there were checkpoints and none is whole; or the latest
      is of another config, or of other data than `identity` says.
  """
  held = load_pretrained(system, config)
  checkpoints.hold(held)
  while (step := checkpoints.latest()) is not None:
    try:
      state, counters = checkpoints.restore(step, abstract_state(system))
      check_loop(config, counters, checkpoints.folder / str(step))
    except Damaged as error:
      say(f"warning: {error}. It is set aside: {checkpoints.set_aside(step)}")
      continue
    check_config(config, counters, checkpoints.folder / str(step))
    check_identity(identity, counters, checkpoints.folder / str(step))
    return state, counters
  if damaged := sorted(p.name for p in checkpoints.folder.glob("*.damaged*")):
    raise CheckpointError(
      f"no whole checkpoint is left in {checkpoints.folder}, only "
      f"{', '.join(damaged)}; bring a copy of one back, or train again in "
      "another --workdir"
    )
  init = compile_fast(system.init)
  key = keys.address(config.seed, "init")
  _check_size(init.trace(key).out_info)
  state = init(key)
  if config.init_from:
    state = borrow(state, config.init_from)
  held = jax.tree.map(jnp.asarray, held)
  return additions.replace_params(state, {**state.params, **held}), {}


def _check_size(state: TrainState) -> None:
  """Check that a state and its gradients fit into memory.

  Without this check the kernel would end the process without a message.

  Raises:
    ConfigError: they do not; the largest array is named.
  """
  leaves = jax.tree_util.tree_flatten_with_path(state.params)[0]
  gradients = sum(_bytes(leaf) for _, leaf in leaves)
  need = gradients + sum(_bytes(leaf) for leaf in jax.tree.leaves(state))
  stats = jax.local_devices()[0].memory_stats() or {}
  there = stats.get("bytes_limit") or memory.total()
  if need > there:
    path, most = max(leaves, key=lambda item: _bytes(item[1]))
    name = "/".join(str(part.key) for part in path)
    raise configs.ConfigError(
      f"config.model: the parameters, their gradients and the optimiser need "
      f"{need / 1e9:,.1f} GB, and there are {there / 1e9:,.1f} GB of memory. "
      f"The largest array is {name} {most.shape}. Choose smaller sizes in "
      "config.model"
    )


def check_disk(folder: Path, state: TrainState) -> None:
  """Check that a disk has room for a checkpoint, before any step is made.

  Raises:
    NoRoom: it has not.
  """
  size = _PACKED * sum(_bytes(leaf) for leaf in jax.tree.leaves(state))
  files.check_room(folder, size, "use another --workdir")


def _bytes(leaf: Any) -> int:
  """Return the bytes of an array's shape and type, however large."""
  return math.prod(leaf.shape) * leaf.dtype.itemsize


def compile_fast(init: Callable) -> Callable:
  """Compile a function that runs once without optimising it.

  On CPU, LLVM would else take a quarter of a second for each random draw.
  """
  cpu = jax.default_backend() == "cpu"
  options = {"xla_backend_optimization_level": 0} if cpu else {}
  return jax.jit(init, compiler_options=options)


def borrow(fresh: TrainState, source: str) -> TrainState:
  """Take branches from "<run>[@step][:branch,…]"; all branches or these.

  A branch brings its parameters and its batch statistics.

  Args:
    fresh: a state of this config, whose other arrays stay.
    source: what config.init_from says.

  Raises:
    CheckpointError: the run, the step or a branch is not there, or names
      or shapes differ; they are listed. Nothing is taken in part.
  """
  run, step, branches = _loan(source)
  if not (run / "config.json").exists():
    raise CheckpointError(
      f"init_from {source!r}: {run} is not a run's folder (no config.json); "
      "train it first, or say where it is: --config.init_from=…"
    )
  config = configs.of_run(run)
  attributes = load_attribute_columns(run, config.data.name)
  _, state = run_state(run, config, attributes, step)
  params = fresh.params
  taken = state.params
  wanted = params
  if branches:
    if unknown := [name for name in branches if name not in params]:
      raise CheckpointError(
        f"init_from {source!r}: this config has no branch {unknown[0]!r}; it "
        f"has {', '.join(sorted(params))}"
      )
    taken, wanted = (
      {name: p.get(name, {}) for name in branches} for p in (taken, wanted)
    )
  elif set(taken) != set(params):
    raise _branches_error(source, run, set(taken), set(params))
  check_names(shapes(wanted), shapes(taken), f"checkpoint {run}")
  names = fresh.model_state.keys() & state.model_state.keys()
  names = names & set(branches) if branches else names
  beside, own = (
    {name: of.model_state[name] for name in names} for of in (state, fresh)
  )
  check_names(shapes(own), shapes(beside), f"checkpoint {run}")
  return fresh.replace(
    params={**params, **taken}, model_state={**fresh.model_state, **beside}
  )


def _branches_error(
  source: str, run: Path, there: set[str], wanted: set[str]
) -> CheckpointError:
  """Return the error of a run that does not have the config's branches."""
  both = ",".join(sorted(there & wanted))
  asked = commands.quote(f"{source}:{both}")
  remedy = (
    f"take those that both have: --config.init_from={asked}"
    if both
    else "there is nothing to take"
  )
  return CheckpointError(
    f"init_from {source!r}: {run} has the branches {', '.join(sorted(there))}, "
    f"this config has {', '.join(sorted(wanted))}; {remedy}"
  )


def find_lender(source: str) -> Path:
  """Return the folder of the run that config.init_from names."""
  return _loan(source)[0]


def _loan(source: str) -> tuple[Path, int | None, list[str]]:
  """Split init_from into the run's folder, the step and the branches.

  A folder whose name itself has an @ or a colon is found, too.
  """
  whole, _, last = source.rpartition(":")
  for text, names in ((source, ""), (whole, last)):
    if text.strip() and local(text, "init_from").is_dir():
      run = exports.find(local(text))
      return run, None, names.split(",") if names else []
  match = re.fullmatch(
    r"(?P<run>.+?)(@(?P<step>\d+))?(:(?P<branches>\w+(,\w+)*))?",
    source,
    re.DOTALL,
  )
  step = match["step"] and int(match["step"])
  names = match["branches"]
  run = exports.find(local(match["run"], "init_from"))
  return run, step, names.split(",") if names else []
