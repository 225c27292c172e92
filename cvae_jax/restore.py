"""Where a run's first state comes from."""

import re
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
  check_names,
  shapes,
)
from cvae_jax.types import PyTree, System, TrainState
from cvae_jax.watch import Watch


def initial_state(
  system: System, config: ConfigDict, checkpoints: Checkpoints
) -> tuple[TrainState, dict[str, Any]]:
  """Gives the state to go on from and the loop's counters with it.

  In this order: 1. the workdir's latest checkpoint; 2. parameters of another
  run, `config.init_from`, with a fresh optimiser; 3. from scratch. Branches
  of `config.pretrained` come from their files in each case.
  """
  held = pretrained(system, config)
  checkpoints.hold(held)
  step = checkpoints.latest()
  if step is not None:
    return checkpoints.restore(step, abstract_state(system))
  state = fast_compiled(system.init)(keys.address(config.seed, "init"))
  if config.init_from:
    state = state.replace(params=borrow(state.params, config.init_from))
  held = jax.tree.map(jnp.asarray, held)
  return state.replace(params={**state.params, **held}), {}


def pretrained(system: System, config: ConfigDict) -> dict[str, PyTree]:
  """Loads the branches of params that `config.pretrained` names.

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


def final_step(config: ConfigDict, checkpoints: Checkpoints) -> int | None:
  """Gives the step of the state that stands for a run; None if there is none.

  The best where config.early_stop.restore is set, else the latest. The latest
  stays what it is, so that a run given more epochs goes on from there.
  """
  step = checkpoints.latest()
  if step is None or not config.early_stop.restore:
    return step
  watch = Watch(config, checkpoints.counters(step).get("watch"))
  return step if watch.best_step is None else watch.best_step


def abstract_state(system: System) -> TrainState:
  """Gives the state's names, shapes and types without computing it."""
  return jax.eval_shape(system.init, jax.random.key(0))


def fast_compiled(init: Callable) -> Callable:
  """Compiles a function that runs once without optimising it.

  On CPU each random draw's code costs LLVM a quarter of a second otherwise.
  """
  cpu = jax.default_backend() == "cpu"
  options = {"xla_backend_optimization_level": 0} if cpu else {}
  return jax.jit(init, compiler_options=options)


def borrow(params: dict, source: str) -> dict:
  """Takes params from "<run>[@step][:branch,…]"; all branches or these.

  Raises:
    CheckpointError: the run, the step or a branch is not there, or names
      or shapes differ; they are listed. Nothing is taken in part.
  """
  match = re.fullmatch(
    r"(?P<run>.+?)(@(?P<step>\d+))?(:(?P<branches>\w+(,\w+)*))?", source
  )
  run = Path(match["run"])
  if not (run / "config.json").exists():
    raise CheckpointError(
      f"init_from {source!r}: {run} is not a run's folder (no config.json); "
      "train it first, or say where it is: --config.init_from=…"
    )
  config = configs.from_json((run / "config.json").read_text())
  lender = configs.resolve(config)
  checkpoints = Checkpoints(run)
  try:
    checkpoints.hold(pretrained(lender, config))
    step = match["step"]
    step = int(step) if step else final_step(config, checkpoints)
    state, _ = checkpoints.restore(step, abstract_state(lender))
  finally:
    checkpoints.close()
  taken, wanted = state.params, params
  if match["branches"]:
    branches = match["branches"].split(",")
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
