"""The state of a run: the latest, the best, or an export's."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from cvae_jax import config as configs, data
from cvae_jax.host.console import say
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
  check_names,
  shapes,
)
from cvae_jax.loop.folder.run_data import facts
from cvae_jax.loop.folder.same_run import (
  check_config,
  check_latest,
  check_loop,
)
from cvae_jax.loop.watch import Watch
from cvae_jax.method import additions
from cvae_jax.types import PyTree, System, TrainState


def run_state(
  folder: Path,
  config: ConfigDict,
  attributes: tuple = (),
  step: int | None = None,
  system: System | Callable | None = None,
) -> tuple[System, TrainState]:
  """Return the system and the state of a run's folder, or of an export's.

  Where the parameters have a running mean, it stands in their place.

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
    return _exported_state(folder, config, system, step)
  checkpoints = Checkpoints(folder, config.keep, read_only=True)
  try:
    check_latest(config, checkpoints)
    system = configs.resolve(config, known, system=system)
    checkpoints.hold(load_pretrained(system, config))
    state, counters = load_state(checkpoints, system, config, step)
    where = checkpoints.folder / str(int(state.step))
    check_config(config, counters, where)
  finally:
    checkpoints.close()
  return system, additions.hand_out(state)


def load_state(
  checkpoints: Checkpoints,
  system: System,
  config: ConfigDict,
  step: int | None = None,
) -> tuple[TrainState, dict[str, Any]]:
  """Return a state to use and its counters, beside a run that may train.

  Without a step it is the best if config.early_stop.restore is set, else the
  latest. Nothing is set aside: a damaged checkpoint is named, and the latest
  undamaged one is used. A checkpoint that the training has just deleted is
  ignored.

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
    time.sleep(0.2)  # a checkpoint that is being deleted is soon gone
  for error in failed.values():
    say(f"warning: {error}; step {wanted} is used")
  return found


def _no_checkpoint(checkpoints: Checkpoints) -> CheckpointError:
  return CheckpointError(f"{checkpoints.folder} has no checkpoint")


def best_state(
  config: ConfigDict, checkpoints: Checkpoints, system: System
) -> TrainState | None:
  """Return the best state of a run that has ended, None if the latest counts.

  The latest counts without config.early_stop.restore. It also counts, with a
  message, if the best checkpoint is lost or damaged: training cannot bring it
  back.
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


def best_step(
  config: ConfigDict, checkpoints: Checkpoints, step: int
) -> int | None:
  """Return the best step that checkpoint `step` holds, or None.

  It is None without config.early_stop.restore: then the latest state is the
  run's result. The latest checkpoint is kept in any case, so that a run with
  more epochs can go on from it.

  Raises:
    Damaged: the checkpoint's counters cannot be read.
  """
  if not config.early_stop.restore:
    return None
  counters = checkpoints.counters(step)
  check_loop(config, counters, checkpoints.folder / str(step))
  return Watch(config, counters.get("watch")).best_step


def load_pretrained(system: System, config: ConfigDict) -> dict[str, PyTree]:
  """Load the branches of params that `config.pretrained` names.

  Only those layers of a file are used that the system has.

  Raises:
    DataError: the weights are missing or damaged.
    CheckpointError: they do not fit the system; names are listed.
  """
  sources = config.get("pretrained", {})
  if not sources:  # tracing the state would delay every start for nothing
    return {}
  found = {}
  wanted = abstract_state(system).params
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


def abstract_state(system: System) -> TrainState:
  """Return the state's names, shapes and types without computing it."""
  return jax.eval_shape(system.init, jax.random.key(0))


def _exported_state(
  folder: Path, config: ConfigDict, system: System, step: int | None
) -> tuple[System, TrainState]:
  """Return an export's state, and the system as far as the export has it.

  Branches of `config.pretrained` come from their files. If a file is missing,
  the state lacks them, with a message: only the loss needs them.

  Raises:
    CheckpointError: it is of another step, or does not fit the config.
    DamagedFile: a file was changed or cut, or is another program's.
  """
  held = dict.fromkeys(config.get("pretrained", {}))
  try:
    held = load_pretrained(system, config)
  except (data.DataError, CheckpointError, OSError) as error:
    say(f"note: {folder} has no loss here, all else works: {error}")
  abstract = abstract_state(system)
  state = exports.read_state(folder, abstract, held)
  if step not in (None, int(state.step)):
    raise CheckpointError(
      f"{folder} is an export of step {int(state.step)} and has no other; "
      f"found step {step}"
    )
  if exports.lacks_encoder(state, abstract):
    system = exports.leave_out_encoder(system)
  return system, state
