"""Checkpoints: the only importer of orbax.

A checkpoint named k is the state after k completed updates, with the loop's
own counters beside it as JSON. A kill inside a save leaves a folder that
orbax does not take for a checkpoint, so the latest one is always whole.

Branches of params that come from a file and never move (VGG's features: up to
80 MB) are not saved each time: a checkpoint holds their SHA-256 instead.
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cvae_jax.types import PyTree, TrainState

# Orbax reports each save and restore in dozens of lines at INFO.
logging.getLogger("absl").addFilter(
  lambda record: record.levelno > logging.INFO or "orbax" not in record.pathname
)


_policies = ocp.checkpoint_managers.preservation_policy


class CheckpointError(ValueError):
  """Says which checkpoint does not fit, and by which names."""


class _Pinned(_policies.PreservationPolicy):
  """Keeps the steps that the latest save named, whatever comes after."""

  steps: tuple[int | None, ...] = ()

  def should_preserve(self, checkpoints, *, context):
    """Tells for each checkpoint whether it is one of them."""
    return [info.step in self.steps for info in checkpoints]


class Checkpoints:
  """The checkpoints of one run, <workdir>/checkpoints/<step>."""

  def __init__(self, workdir: Path, keep: int = 2):
    self.folder = Path(workdir).absolute() / "checkpoints"
    self._held: dict[str, PyTree] = {}
    self._fingerprints: dict[str, str] = {}
    self._pinned = _Pinned()
    policy = _policies.AnyPreservationPolicy(
      [_policies.LatestN(keep), self._pinned]
    )
    self._manager = ocp.CheckpointManager(
      self.folder,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policy, create=True
      ),
      item_handlers={
        "state": ocp.StandardCheckpointHandler(),
        "counters": ocp.JsonCheckpointHandler(),
      },
    )

  def hold(self, branches: Mapping[str, PyTree]) -> None:
    """Keeps branches of params out of checkpoints; `restore` puts them back.

    Args:
      branches: {branch: NumPy arrays}, the same at every restore.
    """
    self._held = dict(branches)
    self._fingerprints = {k: fingerprint(v) for k, v in branches.items()}

  def latest(self) -> int | None:
    """Gives the newest complete checkpoint's step, or None."""
    return self._manager.latest_step()

  def steps(self) -> list[int]:
    """Return the steps of the complete checkpoints."""
    self._manager.wait_until_finished()
    return list(self._manager.all_steps())

  def save(
    self,
    step: int,
    state: TrainState,
    counters: Mapping,
    pinned: tuple[int | None, ...] = (),
  ) -> None:
    """Saves in the background; returns once the state may be donated.

    Checkpoints `pinned` outlive the latest ones; what was pinned before goes
    when this save is complete.
    """
    if step == self.latest():
      return
    self._pinned.steps = pinned
    # The writer reads a copy: on CPU its view of an array is the array's own
    # memory, which the next step is about to reuse.
    copy = jax.tree.map(jnp.copy, self._without(state))
    if self._held:
      counters = {**counters, "held": self._fingerprints}
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(copy),
        counters=ocp.args.JsonSave(dict(counters)),
      ),
    )

  def restore(
    self, step: int | None, abstract: TrainState
  ) -> tuple[TrainState, dict[str, Any]]:
    """Reads a checkpoint whose names and shapes must equal `abstract`'s.

    Raises:
      CheckpointError: it does not exist, or they differ; names are listed;
        or a branch that is held is not the one that the run had.
    """
    self._manager.wait_until_finished()  # it lists a save under way too
    if step not in self._manager.all_steps():
      raise CheckpointError(
        f"no checkpoint {step} in {self.folder}; there are "
        f"{list(self._manager.all_steps())}"
      )
    abstract = self._without(abstract)
    saved = self._manager.item_metadata(step).state
    check_names(
      shapes(abstract), shapes(saved), f"checkpoint {self.folder / str(step)}"
    )
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(abstract),
        counters=ocp.args.JsonRestore(),
      ),
    )
    self._check_held(restored.counters.pop("held", {}), step)
    held = jax.tree.map(jnp.asarray, self._held)
    params = {**restored.state.params, **held}
    return restored.state.replace(params=params), restored.counters

  def _without(self, state: TrainState) -> TrainState:
    params = {k: v for k, v in state.params.items() if k not in self._held}
    return state.replace(params=params)

  def _check_held(self, saved: Mapping[str, str], step: int) -> None:
    found = self._fingerprints
    if differing := [k for k in found if found[k] != saved.get(k)]:
      name = differing[0]
      raise CheckpointError(
        f"checkpoint {self.folder / str(step)} was made with another "
        f"{name!r}: SHA-256 {saved.get(name)}, found {found[name]}; bring the "
        "weights back that the run began with"
      )

  def counters(self, step: int) -> dict[str, Any]:
    """Reads the loop's counters of a checkpoint that there is."""
    self._manager.wait_until_finished()
    args = ocp.args.Composite(counters=ocp.args.JsonRestore())
    return self._manager.restore(step, args=args).counters

  def close(self) -> None:
    """Waits for the save under way."""
    self._manager.wait_until_finished()
    self._manager.close()


def fingerprint(tree: PyTree) -> str:
  """Gives the SHA-256 of a tree's names, shapes and float32 values."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    name = "/".join(_name(key) for key in path)
    digest.update(f"{name} {leaf.shape}\n".encode())
    digest.update(np.ascontiguousarray(leaf, np.float32).tobytes())
  return digest.hexdigest()


def shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
  """Names the leaves, "params/encoder/conv_0/kernel", with their shapes."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {
    "/".join(_name(key) for key in path): tuple(leaf.shape)
    for path, leaf in leaves
  }


def _name(key) -> str:
  """Names one step of a path as orbax's metadata does."""
  for field in ("key", "name", "idx"):
    if hasattr(key, field):
      return str(getattr(key, field))
  return str(key)


def check_names(expected: Mapping, found: Mapping, where: str) -> None:
  """Compares {name: shape} of what is wanted with what is there.

  Raises:
    CheckpointError: names are missing or extra, or shapes differ.
  """
  lines = [f"missing: {n} {expected[n]}" for n in expected if n not in found]
  lines += [f"extra: {n} {found[n]}" for n in found if n not in expected]
  lines += [
    f"shape: {n} is {found[n]}, expected {expected[n]}"
    for n in expected
    if n in found and found[n] != expected[n]
  ]
  if lines:
    shown = "\n  ".join(sorted(lines)[:20])
    raise CheckpointError(
      f"{where} does not fit this config ({len(lines)} differences):\n  {shown}"
    )
