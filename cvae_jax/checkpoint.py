"""Checkpoints: the only importer of orbax.

A checkpoint named k is the state after k completed updates, with the loop's
own counters beside it as JSON. A kill inside a save leaves a folder that
orbax does not take for a checkpoint. The counters hold the SHA-256 of the
state, so a checkpoint that was damaged later is noticed when it is read.

Branches of params that come from a file and never move (VGG's features: up to
80 MB) are not saved each time: a checkpoint holds their SHA-256 instead.
"""

import contextlib
import gc
import glob
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from cvae_jax.integrity import (
  CheckpointError,
  Damaged,
  check_files,
  check_marks,
  check_names,
  check_state,
  check_types,
  digest,
  fingerprint,
  shapes,
)
from cvae_jax.types import PyTree, TrainState

# Orbax reports each save and restore in dozens of lines at INFO, and what is
# wrong with a checkpoint in more at WARNING; our own errors say it in one.
logging.getLogger("absl").addFilter(
  lambda record: (
    record.levelno > logging.WARNING or "orbax" not in record.pathname
  )
)


@contextlib.contextmanager
def _quiet():
  """Drop what the other reads report when one of them fails.

  Orbax reads all arrays at the same time and closes the event loop at the
  first failure. The rest would print a traceback each.
  """
  report = sys.unraisablehook
  log = logging.getLogger("asyncio")
  sys.unraisablehook = lambda info: None
  log.disabled = True
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  finally:
    log.disabled = False
    sys.unraisablehook = report


_policies = ocp.checkpoint_managers.preservation_policy


class _Pinned(_policies.PreservationPolicy):
  """Keeps the steps that the latest save named, whatever comes after."""

  steps: tuple[int | None, ...] = ()

  def should_preserve(self, checkpoints, *, context):
    """Tell for each checkpoint whether it is one of them."""
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
    self._alias = _Alias(self.folder.parent)
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    policy = _policies.AnyPreservationPolicy(
      [_policies.LatestN(self._keep), self._pinned]
    )
    writes = not self._read_only
    check_marks(self.folder, repair=writes)
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    state = ocp.StandardCheckpointHandler()
    counters = ocp.JsonCheckpointHandler()
    registry.add("state", ocp.args.StandardSave, state)
    registry.add("state", ocp.args.StandardRestore, state)
    registry.add("counters", ocp.args.JsonSave, counters)
    registry.add("counters", ocp.args.JsonRestore, counters)
    options = ocp.CheckpointManagerOptions(
      preservation_policy=policy if writes else None,
      create=writes,
      read_only=self._read_only,
    )
    folder = self._alias.folder / "checkpoints"
    return _listed(
      lambda: ocp.CheckpointManager(
        folder, options=options, handler_registry=registry
      )
    )

  def hold(self, branches: Mapping[str, PyTree]) -> None:
    """Keep branches of params out of checkpoints; `restore` puts them back.

    Args:
      branches: {branch: NumPy arrays}, the same at every restore.
    """
    self._held = dict(branches)
    self._fingerprints = {k: fingerprint(v) for k, v in branches.items()}

  def latest(self) -> int | None:
    """Return the newest complete checkpoint's step, or None."""
    return self._manager.latest_step()

  def steps(self) -> list[int]:
    """Return the steps of all complete checkpoints, in order."""
    with self._written():
      self._manager.wait_until_finished()
    return sorted(self._manager.all_steps())

  def reload(self) -> None:
    """Look again which checkpoints there are: another process may save."""
    _listed(self._manager.reload)

  def save(
    self,
    step: int,
    state: TrainState,
    counters: Mapping,
    pinned: tuple[int | None, ...] = (),
  ) -> None:
    """Save in the background; return once the state may be donated.

    Checkpoints `pinned` outlive the latest ones; what was pinned before goes
    when this save is complete.

    Raises:
      CheckpointError: this save or the one before could not be written.
    """
    if step == self.latest():
      return
    self._pinned.steps = pinned
    # The writer reads a copy: on CPU its view of an array is the array's own
    # memory, which the next step is about to reuse.
    copy = jax.tree.map(jnp.copy, self._without(state))
    counters = {**counters, "sha256": digest(copy)}
    if self._held:
      counters["held"] = self._fingerprints
    with self._written():
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(copy),
          counters=ocp.args.JsonSave(counters),
        ),
      )

  def restore(
    self, step: int | None, abstract: TrainState
  ) -> tuple[TrainState, dict[str, Any]]:
    """Read a checkpoint whose names and shapes must equal `abstract`'s.

    Raises:
      CheckpointError: it does not exist, or names, shapes or types differ;
        they are listed; or a branch that is held is not the run's.
      Damaged: it cannot be read, or is not what was saved.
    """
    with self._written():
      self._manager.wait_until_finished()  # it lists a save under way too
    if step not in self._manager.all_steps():
      raise CheckpointError(
        f"no checkpoint {step} in {self.folder}; there are {self.steps()}"
      )
    where = f"checkpoint {self.folder / str(step)}"
    check_files(self.folder / str(step))
    abstract = self._without(abstract)
    counters = self.counters(step)
    saved = self._read(step, lambda: self._manager.item_metadata(step).state)
    if not jax.tree.leaves(saved):
      raise Damaged(f"{where} is damaged: its list of arrays is empty")
    check_names(shapes(abstract), shapes(saved), where)
    check_types(abstract, saved, where)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
    state = self._read(step, lambda: self._manager.restore(step, args=args))
    state = state.state
    check_state(state, counters.pop("sha256", None), step, where)
    self._check_held(counters.pop("held", {}), step)
    held = jax.tree.map(jnp.asarray, self._held)
    params = {**state.params, **held}
    return state.replace(params=params), counters

  def counters(self, step: int) -> dict[str, Any]:
    """Read the loop's counters of a checkpoint that there is.

    Raises:
      Damaged: they cannot be read.
    """
    with self._written():
      self._manager.wait_until_finished()
    args = ocp.args.Composite(counters=ocp.args.JsonRestore())
    found = self._read(step, lambda: self._manager.restore(step, args=args))
    if not isinstance(found.counters, dict):
      raise Damaged(
        f"checkpoint {self.folder / str(step)} is damaged: its counters are "
        f"{type(found.counters).__name__}, expected a mapping"
      )
    return found.counters

  def set_aside(self, step: int) -> Path:
    """Rename a damaged checkpoint to <step>.damaged; return its new place."""
    self._manager.close()
    source = self.folder / str(step)
    target = source.with_name(f"{step}.damaged")
    if target.exists():
      shutil.rmtree(target)
    source.rename(target)
    self._manager = self._open()
    return target

  def close(self) -> None:
    """Wait for the save under way.

    Raises:
      CheckpointError: it could not be written.
    """
    try:
      with self._written():
        self._manager.wait_until_finished()
    finally:
      self._manager.close()
      self._alias.close()

  def _read(self, step: int, read):
    """Call a function of orbax; what it raises means a damaged checkpoint."""
    with _quiet():
      try:
        return read()
      except Exception as error:  # orbax and tensorstore raise nearly any kind
        reason = str(error).strip().partition("\n")[0][:200]
        kind = type(error).__name__
      time.sleep(0.2)
      gc.collect()  # what is left of the reads reports here, and not later
    raise Damaged(
      f"checkpoint {self.folder / str(step)} is damaged: it cannot be read "
      f"({kind}: {reason})"
    )

  def _written(self):
    return _Written(self.folder)

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


def _listed(look: Callable[[], Any], times: int = 20) -> Any:
  """Return look(), again where a folder vanished while orbax listed them.

  A training deletes old checkpoints beside those who read its run.
  """
  for _ in range(times - 1):
    try:
      return look()
    except FileNotFoundError:
      time.sleep(0.05)
  return look()


class _Alias:
  """Another path to a folder, for orbax, which takes `[1]` for a pattern.

  A path without such characters is its own alias.
  """

  def __init__(self, folder: Path):
    self.folder = folder
    self._place: Path | None = None
    if glob.has_magic(str(folder)):
      self._place = Path(tempfile.mkdtemp(prefix="cvae_jax_"))
      self.folder = self._place / "run"
      folder.mkdir(parents=True, exist_ok=True)
      self.folder.symlink_to(folder, target_is_directory=True)

  def close(self) -> None:
    """Remove the alias."""
    if self._place:
      shutil.rmtree(self._place, ignore_errors=True)


class _Written:
  """Turns what fails while orbax writes into one line with the folder."""

  def __init__(self, folder: Path):
    self._folder = folder

  def __enter__(self):
    return self

  def __exit__(self, kind, error, traceback):
    if isinstance(error, Exception) and not isinstance(error, CheckpointError):
      reason = str(error).strip().partition("\n")[0][:200]
      raise CheckpointError(
        f"a checkpoint could not be written to {self._folder}: {reason}; "
        "make room or rights there, then run the same command again"
      ) from error
