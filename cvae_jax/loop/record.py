"""A run's folder: its config, its machine and its results.

config.json · conditions.json · data.json · environment.json · parameters.txt ·
metrics.jsonl · events.out.tfevents.* · samples/<step>_<grid>.png · DONE;
trackers.json where the run is shown elsewhere too
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from cvae_jax import config as configs
from cvae_jax.host import images
from cvae_jax.host.console import say
from cvae_jax.host.files import read_json, write_atomically
from cvae_jax.loop.folder import (
  checkpoint_names,
  fixed,
  launches,
  rows,
  same_run,
)
from cvae_jax.loop.folder.rows import parse_metrics
from cvae_jax.loop.folder.run_data import RunMismatch, check_data, keep_identity
from cvae_jax.loop.tensorboard import Events
from cvae_jax.loop.trackers import Tracker, Trackers
from cvae_jax.types import PyTree


class RecordError(OSError):
  """Says which file of a run cannot be written, and how to go on."""


class Record:
  """Writes one run's folder; it does not depend on systems."""

  def __init__(self, workdir: Path, trackers: Sequence[str | Tracker] = ()):
    self.folder = Path(workdir)
    self._trackers = Trackers(self.folder, trackers)
    self.rows = 0  # in metrics.jsonl
    self._metrics = None
    self._events = None
    self._found: tuple[list, list[int]] | None = None

  def _parse(self) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the rows that were there, and damaged lines; they are read once.

    Nobody else writes them: the folder is locked.
    """
    if self._found is None:
      self._found = parse_metrics(self.folder)
    return self._found

  def check(
    self,
    config: ConfigDict,
    conditions: Mapping[str, Any],
    identity: Mapping[str, Any] | None = None,
  ) -> None:
    """Check config, conditions and data against the run's own, if any.

    It writes nothing, so a failed launch leaves no trace of its data.

    Raises:
      RunMismatch: the folder holds a run of another config or other data.
    """
    if not (self.folder / "config.json").exists():
      if not same_run.is_untouched(self.folder, self._parse()[0]):
        raise RunMismatch(
          f"{self.folder} has checkpoints or rows of a run and no config.json, "
          "so nothing says which run they are of; bring the file back or use "
          "another --workdir"
        )
      return
    if same_run.is_untouched(self.folder, self._parse()[0]):
      return
    old = configs.of_run(self.folder)
    every = old.checkpoint_every
    same_run.check_checkpoints(self.folder, self._parse()[0], every)
    if differing := fixed.differences(old, config):
      raise RunMismatch(
        f"{self.folder} holds a run of another config; differing keys:\n  "
        + "\n  ".join(differing)
        + "\nUse another --workdir, or the run's own config."
      )
    path = self.folder / "conditions.json"
    before = {}
    if path.exists():
      before = read_json(path, dict, "bring a copy of it back")
    # Keys that older runs lack in their conditions are not compared.
    today = {
      k: v for k, v in json.loads(_json(conditions)).items() if k in before
    }
    if before != today:
      raise RunMismatch(
        f"{path} differs from what today's data give: the training data have "
        "changed since this run began. Bring the old data back or use "
        "another --workdir."
      )
    if identity is not None:
      check_data(self.folder, identity)

  def start(
    self,
    config: ConfigDict,
    conditions: Mapping[str, Any],
    step: int,
    params: PyTree,
    rows_saved: int = 0,
    identity: Mapping[str, Any] | None = None,
    programs: Mapping[str, Any] = MappingProxyType({}),
  ) -> None:
    """Begin or continue the record after `step` completed updates.

    Rows after `step`, whose updates a kill took back, are deleted. A warning
    says if fewer than `rows_saved` rows come before it: some were lost.
    """
    # First: after a kill, a lengthened run must not pass for a finished one.
    (self.folder / "DONE").unlink(missing_ok=True)
    # config.json makes the folder a run's, so it is written after conditions.
    write_atomically(self.folder / "conditions.json", _json(conditions))
    if identity is not None:
      keep_identity(self.folder, identity)
    write_atomically(self.folder / "config.json", configs.to_json(config))
    launches.add(self.folder, step, programs)
    write_atomically(self.folder / "parameters.txt", parameter_table(params))
    path = self.folder / rows.FILE
    found, bad = self._parse()
    if bad:
      aside = path.with_name(f"{rows.FILE}.damaged")
      shutil.copy2(path, aside)
      say(
        f"warning: {path}: {rows.lines(bad)} cannot be read and are left out; "
        f"the file as it was is kept as {aside}"
      )
    kept = [row for row in found if row["step"] <= step]
    self.count(step, rows_saved)
    self._found = None  # they are not needed any more
    self.rows = len(kept)
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))
    self._metrics = path.open("a")
    self._events = Events(self.folder, step + 1)
    dropped = [row for row in found if row["step"] > step]
    told = json.loads(configs.to_json(config))
    self._trackers.start(told, step, kept, dropped)

  def count(self, step: int, rows_saved: int) -> None:
    """Warn if there are fewer rows up to `step` than its checkpoint counted."""
    if said := rows.describe_loss(
      self.folder, self._parse()[0], step, rows_saved
    ):
      say(said)

  def metrics(self, row: Mapping[str, Any]) -> None:
    """Append a row to metrics.jsonl, and its numbers to TensorBoard's events.

    Raises:
      RecordError: the row cannot be written.
    """
    with self._explain_errors(rows.FILE):
      self._metrics.write(json.dumps(row) + "\n")
      self._metrics.flush()
    self.rows += 1
    for name, value in row.items():
      if name not in ("step", "split"):
        self._events.scalar(f"{row['split']}/{name}", value, row["step"])
    self._trackers.row(row)

  def grids(self, step: int, grids: Mapping[str, ArrayLike]) -> None:
    """Write {name: images [R, P, H, W, C]} as samples/<step>_<name>.png.

    Raises:
      RecordError: one cannot be written.
    """
    for name, array in grids.items():
      path = f"samples/{step:06d}_{name}.png"
      with self._explain_errors(path):
        images.save_grid(self.folder / path, array)
      sheet = images.grid(array)
      self._events.image(f"samples/{name}", sheet, step)
      self._trackers.picture(name, step, sheet)

  def sync(self) -> None:
    """Put the metrics on the disk, before a checkpoint vouches for them.

    Raises:
      RecordError: the disk does not take them.
    """
    with self._explain_errors(rows.FILE):
      os.fsync(self._metrics.fileno())
    self._events.flush()

  def close(self, done: bool) -> None:
    """Close the files; mark the run as finished if it is."""
    if self._metrics:
      # The rest of a row that could not be written fails again.
      with contextlib.suppress(OSError):
        self._metrics.close()
      self._events.close()
      self._trackers.close(done)
    if done and not (self.folder / "DONE").exists():
      write_atomically(self.folder / "DONE", "")

  @contextlib.contextmanager
  def _explain_errors(self, name: str) -> Iterator[None]:
    """Explain what a file that cannot be written means for the run."""
    try:
      yield
    except OSError as error:
      steps = checkpoint_names.steps(self.folder)
      remedy = (
        f"checkpoint {steps[-1]} is whole: make room or rights there, then "
        "the same command goes on from it"
        if steps
        else "no checkpoint is saved yet: make room or rights there, then the "
        "same command begins again"
      )
      raise RecordError(
        f"{self.folder / name} cannot be written ({error.strerror or error}); "
        f"{remedy}"
      ) from error


def parameter_table(params: PyTree) -> str:
  """List name, shape and size of each array, a total per branch and all."""
  lines = []
  total = 0
  for branch, tree in params.items():
    size = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
      name = "/".join([branch, *(str(key.key) for key in path)])
      lines.append(f"{name:40} {leaf.shape!s:20} {leaf.size:>12,}")
      size += leaf.size
    lines.append(f"{branch + ' in all':40} {'':20} {size:>12,}")
    total += size
  return "\n".join([*lines, f"{'total':40} {'':20} {total:>12,}", ""])


def _json(conditions: Mapping[str, Any]) -> str:
  return json.dumps(conditions, indent=2, sort_keys=True) + "\n"
