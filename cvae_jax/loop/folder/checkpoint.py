"""Checkpoints: the only importer of orbax.

The checkpoint named k holds the state after k completed updates, and the
loop's counters as JSON. A kill during a save leaves a folder that orbax does
not take for a checkpoint. The counters hold the SHA-256 of the state and of
themselves, so later damage is noticed when the checkpoint is read.

Branches that come from a file (VGG's features) are not stored, only their
SHA-256.
"""

import concurrent.futures
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from cvae_jax.loop.folder import integrity, orbax_quirks as quirks
from cvae_jax.loop.folder.integrity import (
  CheckpointError,
  Damaged,
  check_names,
  digest,
  shapes,
)
from cvae_jax.types import PyTree, TrainState

quirks.stop_leaks()
_policies = ocp.checkpoint_managers.preservation_policy
_copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))  # one program


class _Pinned(_policies.PreservationPolicy):
  """Keeps the checkpoints of the steps that the latest save named."""

  steps: tuple[int | None, ...] = ()

  def should_preserve(self, checkpoints, *, context):
    """Tell for each checkpoint whether it is kept."""
    return [info.step in self.steps for info in checkpoints]


class Checkpoints:
  """The checkpoints of one run, <workdir>/checkpoints/<step>.

  With `read_only` nothing is written or cleaned up, so that a run can be read
  while it trains.
  """

  def __init__(self, workdir: Path, keep: int = 2, read_only: bool = False):
    self.folder = Path(workdir).absolute() / "checkpoints"
    self._held: dict[str, PyTree] = {}
    self._fingerprints: dict[str, str] = {}
    self._pinned = _Pinned()
    self._keep = keep
    self._read_only = read_only
    if not read_only:
      self.folder.mkdir(parents=True, exist_ok=True)
    integrity.check_marks(self.folder, repair=not read_only)
    self._alias = quirks.Alias(self.folder.parent)
    self._manager = self._open()
    self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
    self._pending: concurrent.futures.Future | None = None

  def _open(self) -> ocp.CheckpointManager:
    policy = _policies.AnyPreservationPolicy(
      [_policies.LatestN(self._keep), self._pinned]
    )
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    only = None if jax.process_count() == 1 else {0}  # waits for no other
    alone = ocp.options.MultiprocessingOptions(active_processes=only)
    state = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    counters = ocp.JsonCheckpointHandler(multiprocessing_options=alone)
    registry.add("state", ocp.args.StandardSave, state)
    registry.add("state", ocp.args.StandardRestore, state)
    registry.add("counters", ocp.args.JsonSave, counters)
    registry.add("counters", ocp.args.JsonRestore, counters)
    return quirks.retry(
      lambda: ocp.CheckpointManager(
        self._alias.folder / "checkpoints",
        options=ocp.CheckpointManagerOptions(
          preservation_policy=None if self._read_only else policy,
          create=False,
          read_only=self._read_only,
          multiprocessing_options=alone,
        ),
        handler_registry=registry,
      )
    )

  def hold(self, branches: Mapping[str, PyTree]) -> None:
    """Leave branches {name: arrays} of params out; `restore` adds them."""
    self._held = dict(branches)
    self._fingerprints = {
      k: integrity.fingerprint(v) for k, v in branches.items()
    }

  def latest(self) -> int | None:
    """Return the newest checkpoint's step, or None; a save under way counts."""
    self._settle()
    return self._manager.latest_step()

  def steps(self) -> list[int]:
    """Return the steps of all complete checkpoints, in order."""
    self._wait()
    return sorted(self._manager.all_steps())

  def reload(self) -> None:
    """List the checkpoints again, since another process may have saved."""
    quirks.retry(self._manager.reload)

  def save(
    self,
    step: int,
    state: TrainState,
    counters: Mapping,
    pinned: tuple[int | None, ...] = (),
  ) -> None:
    """Save in the background; return once the state may be donated.

    It first waits for the previous save. Checkpoints of the steps `pinned` are
    kept beside the latest ones; earlier pins end when this save is complete.

    Raises:
      CheckpointError: the save before could not be written.
    """
    self._wait()
    if step == self.latest():
      return
    # The writer reads a copy: on CPU the array's memory is soon reused.
    copy = _copy(self._without(state))
    if jax.process_count() > 1:  # orbax would ask others for their parts
      copy = jax.device_get(copy)
    if self._held:
      counters = {**counters, "held": self._fingerprints}
    self._pending = self._writer.submit(
      self._write, step, copy, counters, pinned
    )

  def _write(self, step, state, counters, pinned) -> None:
    """Hash a state and give it to orbax, while the next steps run."""
    self._pinned.steps = pinned
    counters = integrity.seal({**counters, "sha256": digest(state)})
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(state), counters=ocp.args.JsonSave(counters)
    )
    self._manager.save(step, args=args)

  def restore(
    self, step: int | None, abstract: TrainState
  ) -> tuple[TrainState, dict[str, Any]]:
    """Read a checkpoint whose names and shapes must equal `abstract`'s.

    Raises:
      CheckpointError: it does not exist, or names, shapes or types differ;
        they are listed; or a branch that is held is not the run's.
      Damaged: it cannot be read, or is not what was saved.
    """
    self._wait()  # orbax also lists a save that is under way
    if step not in self._manager.all_steps():
      raise CheckpointError(
        f"no checkpoint {step} in {self.folder}; there are {self.steps()}"
      )
    where = self._describe(step)
    abstract = self._without(abstract)
    counters = self.counters(step)
    saved = quirks.read(where, lambda: self._manager.item_metadata(step).state)
    if not jax.tree.leaves(saved):
      raise Damaged(f"{where} is damaged: its list of arrays is empty")
    check_names(shapes(abstract), shapes(saved), where)
    integrity.check_types(abstract, saved, where)
    state = self._read(step, "state", ocp.args.StandardRestore(abstract))
    integrity.check_state(state, counters.pop("sha256", None), step, where)
    integrity.check_held(self._fingerprints, counters.pop("held", {}), where)
    held = jax.tree.map(jnp.asarray, self._held)
    return state.replace(params={**state.params, **held}), counters

  def counters(self, step: int) -> dict[str, Any]:
    """Read the loop's counters of a checkpoint that there is.

    Raises:
      CheckpointError: a file of the checkpoint is a link or a device.
      Damaged: they cannot be read.
    """
    self._wait()
    integrity.check_files(self.folder / str(step))
    where = self._describe(step)
    found = self._read(step, "counters", ocp.args.JsonRestore())
    return integrity.check_counters(found, where)

  def _read(self, step: int, item: str, how: Any) -> Any:
    """Read one item of a checkpoint; raise Damaged if that fails."""
    args = ocp.args.Composite(**{item: how})
    return quirks.read(
      self._describe(step),
      lambda: self._manager.restore(step, args=args)[item],
    )

  def set_aside(self, step: int) -> Path:
    """Rename a damaged checkpoint to <step>.damaged; return its new place.

    Others of that step become <step>.damaged.2, and so on.
    """
    self._manager.close()
    source = self.folder / str(step)
    target = source.with_name(f"{step}.damaged")
    count = itertools.count(2)
    while target.exists():
      target = source.with_name(f"{step}.damaged.{next(count)}")
    source.rename(target)
    self._manager = self._open()
    return target

  def close(self) -> None:
    """Wait for the save under way.

    Raises:
      CheckpointError: it could not be written.
    """
    try:
      self._wait()
    finally:
      self._writer.shutdown()
      self._manager.close()
      self._alias.close()

  def _settle(self) -> None:
    """Wait until orbax has taken over the state that was saved last."""
    pending = self._pending
    self._pending = None
    if pending:
      with quirks.explain(self.folder):
        pending.result()

  def _wait(self) -> None:
    """Wait until all that was saved is on the disk."""
    self._settle()
    with quirks.explain(self.folder):
      self._manager.wait_until_finished()

  def _describe(self, step: int) -> str:
    return f"checkpoint {self.folder / str(step)}"

  def _without(self, state: TrainState) -> TrainState:
    params = {k: v for k, v in state.params.items() if k not in self._held}
    return state.replace(params=params)
