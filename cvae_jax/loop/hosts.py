"""Several processes that train together, on one machine or on several.

Each runs the same loop on its part of every batch. Only the first one reads
checkpoints and writes the run's folder. It tells the others what they begin
with, or why they cannot begin. All stop at the same step.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from cvae_jax import settings
from cvae_jax.config import ConfigError
from cvae_jax.loop.mesh import Mesh
from cvae_jax.types import PyTree

_LOST = 30  # seconds until a silent process counts as lost


class HostError(RuntimeError, ValueError):
  """Says what kept the processes from training together."""


class Lost(HostError):
  """Says that another process has ended, so all must be started again."""


class Nobody:
  """Stands in for an object that only the first process has; does nothing."""

  def __getattr__(self, name: str) -> "Nobody":
    return self

  def __call__(self, *given: Any, **named: Any) -> "Nobody":
    """Do nothing."""
    return self

  def __truediv__(self, other: Any) -> "Nobody":
    return self

  def __iter__(self) -> Iterator:
    return iter(())


def start(coordinator: str = "", processes: int = 0, process: int = -1) -> None:
  """Connect this process with the others; call it before jax computes.

  Without a coordinator nothing is done, unless Slurm's srun has started
  several tasks: they find each other.

  Args:
    coordinator: host:port on the machine of process 0, the same for all.
    processes: how many there are.
    process: which one this is, from 0.

  Raises:
    ConfigError: a value is missing or makes no sense.
    HostError: the others were not found.
  """
  named = {}
  if coordinator or processes or process >= 0:
    if ":" not in coordinator or not 0 <= process < processes:
      raise ConfigError(
        f"--coordinator={coordinator} --processes={processes} "
        f"--process={process}; expected all three: host:port of process 0, "
        "how many processes there are, and which one this is, from 0"
      )
    named = {
      "coordinator_address": coordinator,
      "num_processes": processes,
      "process_id": process,
      "cluster_detection_method": "deactivate",
    }
  elif int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) == 1:
    return
  elif own := _own_gpus():
    named = {"local_device_ids": own}
  logging.getLogger("jax._src.distributed").setLevel(logging.WARNING)
  try:
    jax.distributed.initialize(
      **named,
      initialization_timeout=300,
      heartbeat_timeout_seconds=_LOST,
      shutdown_timeout_seconds=_LOST,
    )
  except (RuntimeError, ValueError) as error:
    where = coordinator or "Slurm's first task"
    raise HostError(
      f"the processes did not find each other at {where}: "
      f"{' '.join(str(error).split())[:200]}; start all of them, each with "
      "the same --coordinator"
    ) from error


def _own_gpus() -> list[int] | None:
  """Return which of its visible GPUs a task of Slurm uses, or None.

  They are all of them if no other task sees them. Else jax gives each task the
  GPU with the task's number on its node.
  """
  seen = [n for n in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if n]
  tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
  alone = tasks.partition("(")[0] == "1"
  return list(range(len(seen))) if alone or len(seen) == 1 else None


def count() -> int:
  """Return the number of processes that train together."""
  return jax.process_count() if jax.distributed.is_initialized() else 1


def first() -> bool:
  """Tell whether this process is the one that writes."""
  return count() == 1 or jax.process_index() == 0


def check_same(config: ConfigDict, identity: Mapping[str, Any]) -> None:
  """Check that all processes train the same config on the same data.

  Where the data lie may differ.

  Raises:
    HostError: in all processes, where one differs from the first.
  """
  if count() == 1:
    return
  flat = dict(settings.leaves({**config.to_dict(), "identity": identity}))
  flat = {k: v for k, v in flat.items() if k != "data.path"}
  own = json.loads(json.dumps(flat))
  theirs = json.loads(_bytes(json.dumps(own).encode()))
  differing = [
    f"{key} {theirs.get(key)!r} and {own.get(key)!r}"
    for key in sorted(own.keys() | theirs.keys())
    if own.get(key) != theirs.get(key)
  ]
  found = multihost_utils.process_allgather(np.int32(len(differing)))
  if found.any():
    said = f": {', '.join(differing)}" if differing else ""
    raise HostError(
      "the processes have different configs or data than process 0"
      f"{said}; start all with the same command"
    )


def tell(**facts: Any) -> dict[str, Any]:
  """Return the JSON facts of the first process in every process.

  Raises:
    HostError: the first process failed before it began (`open_together`).
  """
  if count() == 1:
    return facts
  said = json.loads(_bytes(json.dumps(facts).encode()))
  if "failed" in said and not first():
    raise HostError(f"process 0 cannot train: {said['failed']}")
  return said


@contextlib.contextmanager
def open_together() -> Iterator[Callable]:
  """Yield `tell`; what fails before it was called fails in all processes."""
  told = []

  def tell_once(**facts: Any) -> None:
    told.append(True)
    tell(**facts)

  try:
    yield tell_once
  except BaseException as error:
    if not told and count() > 1:
      tell(failed=" ".join(str(error).split()))
    raise


@contextlib.contextmanager
def explain_errors() -> Iterator[None]:
  """Explain an error of the connection to another process.

  Raises:
    Lost: one has ended.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if count() == 1:
      raise
    raise Lost(
      "another process has ended: start all again with the same command, and "
      f"the run goes on ({' '.join(str(error).split())[:120]})"
    ) from error


def share(tree: PyTree) -> PyTree:
  """Return the first process's arrays in every process, to the last bit.

  Args:
    tree: the arrays; in the other processes their shapes and types.
  """
  if count() == 1:
    return tree

  def each(leaf):
    data = np.ascontiguousarray(leaf).tobytes() if first() else b""
    return np.frombuffer(_bytes(data), leaf.dtype).reshape(leaf.shape)

  return jax.tree.map(each, tree)


class Agreement:
  """Tells all processes at the same step that one of them was asked to stop.

  It answers with the requests of one step before, so that no process waits.
  """

  def __init__(self, mesh: Mesh):
    self._mesh = mesh
    self._pending = None

  def __call__(self, asked: bool) -> bool:
    """Return whether any process was asked to stop, the step before."""
    if count() == 1:
      return asked
    pending = self._pending
    self._pending = self._mesh.any(asked)
    return pending is not None and bool(pending)


def _bytes(data: bytes) -> bytes:
  """Return the first process's bytes in every process."""
  size = multihost_utils.broadcast_one_to_all(np.uint32(len(data)))
  whole = np.zeros(int(size), np.uint8)
  if first():
    whole[:] = np.frombuffer(data, np.uint8)
  return np.asarray(multihost_utils.broadcast_one_to_all(whole)).tobytes()
