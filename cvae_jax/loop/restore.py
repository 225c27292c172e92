"""Where a run's first state comes from."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cvae_jax import config as configs, data
from cvae_jax.host.console import say
from cvae_jax.host.paths import local
from cvae_jax.loop import exports, keys
from cvae_jax.loop.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
  check_names,
  shapes,
)
from cvae_jax.loop.run_data import facts
from cvae_jax.loop.same_run import (
  check_config,
  check_identity,
  check_latest,
  check_loop,
)
from cvae_jax.loop.watch import Watch
from cvae_jax.method import additions
from cvae_jax.types import PyTree, System, TrainState


def initial_state(
  system: System,
  config: ConfigDict,
  checkpoints: Checkpoints,
  identity: Mapping[str, Any] | None = None,
) -> tuple[TrainState, dict[str, Any]]:
  """Return the state to go on from and the loop's counters with it.

  In this order: 1. the workdir's latest checkpoint that is whole; 2.
  parameters of another run, `config.init_from`, with a fresh optimiser; 3.
  from scratch. Branches of `config.pretrained` come from their files in each
  case. A damaged checkpoint is set aside, <step>.damaged.

  Raises:
    CheckpointError: there were checkpoints and none is whole; or the latest
      is of another config, or of other data than `identity` says.
  """
  held = pretrained(system, config)
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
  state = fast_compiled(system.init)(keys.address(config.seed, "init"))
  params = state.params
  if config.init_from:
    params = borrow(params, config.init_from)
  held = jax.tree.map(jnp.asarray, held)
  return additions.begun(state, {**params, **held}), {}


def usable_state(
  checkpoints: Checkpoints,
  system: System,
  config: ConfigDict,
  step: int | None = None,
) -> tuple[TrainState, dict[str, Any]]:
  """Return a state to use and its counters, beside a run that may train.

  Without a step it is the best where config.early_stop.restore is set, else
  the latest. Nothing is set aside: a damaged checkpoint is named and the
  latest whole one is taken. One that the training has deleted meanwhile is not
  missed.

  Raises:
    CheckpointError: the step is not there, or no checkpoint is whole.
  """
  abstract = abstract_state(system)
  if step is not None:
    return checkpoints.restore(step, abstract)
  failed: dict[int, CheckpointError] = {}
  seen = None
  while True:
    checkpoints.reload()
    steps = [s for s in checkpoints.steps() if s not in failed]
    if not steps:
      raise next(iter(failed.values()), _no_checkpoint(checkpoints))
    wanted = steps[-1]
    try:
      best = best_step(config, checkpoints, wanted)
      if best is not None and best not in failed:
        wanted = best
      found = checkpoints.restore(wanted, abstract)
      break
    except CheckpointError as error:
      there = (checkpoints.folder / str(wanted)).exists()
      if there and not isinstance(error, Damaged):
        raise
      if seen == wanted:
        failed[wanted] = error
    seen = wanted
    time.sleep(0.2)  # a checkpoint under deletion is soon gone: look again
  for error in failed.values():
    say(f"warning: {error}; step {wanted} is used")
  return found


def _no_checkpoint(checkpoints: Checkpoints) -> CheckpointError:
  return CheckpointError(f"{checkpoints.folder} has no checkpoint")


def best_state(
  config: ConfigDict, checkpoints: Checkpoints, system: System
) -> TrainState | None:
  """Return the best state of a run that has ended, or None: the latest stands.

  So it does without config.early_stop.restore, and where the best checkpoint
  is lost or damaged, which is said: training cannot bring it back.
  """
  best = best_step(config, checkpoints, checkpoints.latest())
  if best is None:
    return None
  try:
    return checkpoints.restore(best, abstract_state(system))[0]
  except CheckpointError as error:
    say(
      f"warning: {error}. It was the run's best; the latest, "
      f"{checkpoints.latest()}, stands for the run"
    )
    return None


def pretrained(system: System, config: ConfigDict) -> dict[str, PyTree]:
  """Load the branches of params that `config.pretrained` names.

  Of a file's layers those are taken that the system has.

  Raises:
    DataError: the weights are missing or damaged.
    CheckpointError: they do not fit the system; names are listed.
  """
  sources = config.get("pretrained", {})
  if not sources:  # tracing the state would cost every start for nothing
    return {}
  found, wanted = {}, abstract_state(system).params
  for branch, source in sources.items():
    if branch not in wanted:
      raise CheckpointError(
        f"config.pretrained.{branch}: the system has no such branch, only "
        f"{', '.join(wanted)}"
      )
    tree = data.pretrained(source)
    tree = {name: tree[name] for name in wanted[branch] if name in tree}
    where = f"{branch} ({source.network})"
    check_names(shapes(wanted[branch]), shapes(tree), where)
    found[branch] = tree
  return found


def best_step(
  config: ConfigDict, checkpoints: Checkpoints, step: int
) -> int | None:
  """Return the best step as checkpoint `step` knows it, or None.

  It is one where config.early_stop.restore is set; else the latest state
  stands for a run. The latest stays what it is, so that a run given more
  epochs goes on from there.

  Raises:
    Damaged: the checkpoint's counters cannot be read.
  """
  if not config.early_stop.restore:
    return None
  counters = checkpoints.counters(step)
  check_loop(config, counters, checkpoints.folder / str(step))
  return Watch(config, counters.get("watch")).best_step


def abstract_state(system: System) -> TrainState:
  """Return the state's names, shapes and types without computing it."""
  return jax.eval_shape(system.init, jax.random.key(0))


def fast_compiled(init: Callable) -> Callable:
  """Compile a function that runs once without optimising it.

  On CPU each random draw's code costs LLVM a quarter of a second otherwise.
  """
  cpu = jax.default_backend() == "cpu"
  options = {"xla_backend_optimization_level": 0} if cpu else {}
  return jax.jit(init, compiler_options=options)


def borrow(params: dict, source: str) -> dict:
  """Take params from "<run>[@step][:branch,…]"; all branches or these.

  Raises:
    CheckpointError: the run, the step or a branch is not there, or names
      or shapes differ; they are listed. Nothing is taken in part.
  """
  run, step, branches = _loan(source)
  run = exports.find(run)
  if not (run / "config.json").exists():
    raise CheckpointError(
      f"init_from {source!r}: {run} is not a run's folder (no config.json); "
      "train it first, or say where it is: --config.init_from=…"
    )
  config = configs.of_run(run)
  _, state = run_state(run, config, step=step)
  taken, wanted = state.params, params
  if branches:
    if unknown := [name for name in branches if name not in params]:
      raise CheckpointError(
        f"init_from {source!r}: this config has no branch {unknown[0]!r}; it "
        f"has {', '.join(sorted(params))}"
      )
    taken, wanted = (
      {name: p.get(name, {}) for name in branches} for p in (taken, wanted)
    )
  check_names(shapes(wanted), shapes(taken), f"checkpoint {run}")
  return {**params, **taken}


def run_state(
  folder: Path,
  config: ConfigDict,
  attributes: tuple = (),
  step: int | None = None,
  system: System | Callable | None = None,
) -> tuple[System, TrainState]:
  """Return the system and the state of a run's folder, or of an export's.

  Args:
    folder: the run's.
    config: its config.json.
    attributes: what its conditions are made of.
    step: a checkpoint's; None for the best or the latest.
    system: what `config.resolve` takes.

  Raises:
    CheckpointError: the step is not there, or does not fit the config.
  """
  known = facts(folder)
  if known is not None:
    known = known._replace(attributes=attributes)
  if exports.is_export(folder):
    system = configs.resolve(config, known, system=system)
    return system, _exported_state(folder, config, system, step)
  checkpoints = Checkpoints(folder, config.keep, read_only=True)
  try:
    check_latest(config, checkpoints)
    system = configs.resolve(config, known, system=system)
    checkpoints.hold(pretrained(system, config))
    state, counters = usable_state(checkpoints, system, config, step)
    where = checkpoints.folder / str(int(state.step))
    check_config(config, counters, where)
  finally:
    checkpoints.close()
  return system, state


def _exported_state(
  folder: Path, config: ConfigDict, system: System, step: int | None
) -> TrainState:
  """Return an export's state.

  Branches of `config.pretrained` come from their files. Where these are not
  there the state is without them, which is said: the loss needs them alone.

  Raises:
    CheckpointError: it is of another step, or does not fit the config.
    DamagedFile: a file was changed or cut, or is another program's.
  """
  held = dict.fromkeys(config.get("pretrained", {}))
  try:
    held = pretrained(system, config)
  except (data.DataError, CheckpointError, OSError) as error:
    say(f"note: {folder} has no loss here, all else works: {error}")
  state = exports.read_state(folder, abstract_state(system), held)
  if step not in (None, int(state.step)):
    raise CheckpointError(
      f"{folder} is an export of step {int(state.step)} and has no other; "
      f"found step {step}"
    )
  return state


def _loan(source: str) -> tuple[Path, int | None, list[str]]:
  """Split init_from into the run's folder, the step and the branches.

  A folder whose own name has an @ or a colon is found as it is written.
  """
  whole, _, last = source.rpartition(":")
  for text, names in ((source, ""), (whole, last)):
    if text.strip() and local(text, "init_from").is_dir():
      return local(text), None, names.split(",") if names else []
  match = re.fullmatch(
    r"(?P<run>.+?)(@(?P<step>\d+))?(:(?P<branches>\w+(,\w+)*))?",
    source,
    re.DOTALL,
  )
  step = match["step"] and int(match["step"])
  names = match["branches"]
  run = local(match["run"], "init_from")
  return run, step, names.split(",") if names else []
