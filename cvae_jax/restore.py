"""Where a run's first state comes from."""

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax import data, keys
from cvae_jax.checkpoint import (
  CheckpointError,
  Checkpoints,
  Damaged,
  check_names,
  shapes,
)
from cvae_jax.paths import local
from cvae_jax.run_data import facts
from cvae_jax.types import PyTree, System, TrainState
from cvae_jax.watch import Watch


def initial_state(
  system: System, config: ConfigDict, checkpoints: Checkpoints
) -> tuple[TrainState, dict[str, Any]]:
  """Return the state to go on from and the loop's counters with it.

  In this order: 1. the workdir's latest checkpoint that is whole; 2.
  parameters of another run, `config.init_from`, with a fresh optimiser; 3.
  from scratch. Branches of `config.pretrained` come from their files in each
  case. A damaged checkpoint is set aside, <step>.damaged.

  Raises:
    CheckpointError: there were checkpoints and none is whole; or the latest
      is of another config.
  """
  held = pretrained(system, config)
  checkpoints.hold(held)
  damaged = []
  while (step := checkpoints.latest()) is not None:
    try:
      state, counters = checkpoints.restore(step, abstract_state(system))
    except Damaged as error:
      damaged.append(checkpoints.set_aside(step))
      print(f"warning: {error}. It is set aside: {damaged[-1]}", flush=True)
      continue
    check_config(config, counters, checkpoints.folder / str(step))
    return state, counters
  if damaged:
    raise CheckpointError(
      f"no whole checkpoint is left in {checkpoints.folder}; bring a copy of "
      "it back, or train again in another --workdir"
    )
  state = fast_compiled(system.init)(keys.address(config.seed, "init"))
  if config.init_from:
    state = state.replace(params=borrow(state.params, config.init_from))
  held = jax.tree.map(jnp.asarray, held)
  return state.replace(params={**state.params, **held}), {}


def check_config(
  config: ConfigDict, counters: dict[str, Any], where: Path
) -> None:
  """Compare a config with the one that a checkpoint was made with.

  Older checkpoints do not say; keys that came later are not compared.

  Raises:
    CheckpointError: a key that may not change has another value.
  """
  saved = counters.get("config")
  if saved is None:
    return
  today = configs.fixed(config)
  differing = [
    f"{key}: {value!r} → {today.get(key)!r}"
    for key, value in saved.items()
    if value != today.get(key)
  ]
  if differing:
    raise CheckpointError(
      f"checkpoint {where} was made with another config than this run's "
      "config.json; bring the one back that it was made with. Differing "
      "keys:\n  " + "\n  ".join(differing)
    )


def check_latest(config: ConfigDict, checkpoints: Checkpoints) -> None:
  """Compare a config.json with the newest checkpoint's, before it is used.

  A checkpoint that cannot be read is left to those who restore one.

  Raises:
    CheckpointError: a key that may not change has another value.
  """
  step = checkpoints.latest()
  if step is None:
    return
  with contextlib.suppress(Damaged):
    counters = checkpoints.counters(step)
    check_config(config, counters, checkpoints.folder / str(step))


def latest_whole(
  checkpoints: Checkpoints, system: System, step: int | None
) -> tuple[TrainState, dict[str, Any]]:
  """Return a state to use and its counters, beside a run that may train.

  Without a step it is the latest whole one. Nothing is set aside; a damaged
  checkpoint is named and the one before it is taken. A checkpoint that the
  training has deleted meanwhile is not missed.

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
      raise next(iter(failed.values()))
    try:
      found = checkpoints.restore(steps[-1], abstract)
      break
    except CheckpointError as error:
      if (checkpoints.folder / str(steps[-1])).exists():
        if not isinstance(error, Damaged):
          raise
        if seen == steps[-1]:
          failed[steps[-1]] = error
    seen = steps[-1]
    time.sleep(0.2)  # a checkpoint under deletion is soon gone: look again
  for error in failed.values():
    print(f"warning: {error}; step {steps[-1]} is used", flush=True)
  return found


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


def best_step(config: ConfigDict, checkpoints: Checkpoints) -> int | None:
  """Return the step of the best state where that stands for a run, or None.

  It does where config.early_stop.restore is set; else the latest state does.
  The latest stays what it is, so that a run given more epochs goes on from
  there.
  """
  step = checkpoints.latest()
  if step is None or not config.early_stop.restore:
    return None
  return Watch(config, checkpoints.counters(step).get("watch")).best_step


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
  if not (run / "config.json").exists():
    raise CheckpointError(
      f"init_from {source!r}: {run} is not a run's folder (no config.json); "
      "train it first, or say where it is: --config.init_from=…"
    )
  config = configs.of_run(run)
  checkpoints = Checkpoints(run, read_only=True)
  try:
    check_latest(config, checkpoints)
    lender = configs.resolve(config, facts(run))
    checkpoints.hold(pretrained(lender, config))
    step = best_step(config, checkpoints) if step is None else step
    state, counters = latest_whole(checkpoints, lender, step)
    where = checkpoints.folder / str(int(state.step))
    check_config(config, counters, where)
  finally:
    checkpoints.close()
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
