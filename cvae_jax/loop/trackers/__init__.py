"""Trackers: programs beside a run that show its rows and pictures.

metrics.jsonl remains the record. A tracker that fails is dropped with one
warning, and the training goes on. A tracker that raises `Stop` ends the
training: so a search ends a run that is not worth its time.
"""

import contextlib
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.console import say
from cvae_jax.host.files import DamagedFile, read_json, write_atomically
from cvae_jax.settings import ConfigError, hint

FILE = "trackers.json"  # in a run's folder: {tracker: its name for the run}


class Stop(Exception):
  """Ends a training from a tracker; checkpoints are kept."""


class Begun(NamedTuple):
  """What a tracker gets when a training begins or goes on."""

  folder: Path  # the run's
  config: Mapping[str, Any]  # nested, as in config.json
  step: int  # the step that the run goes on from; 0 at its beginning
  known: str | None  # what `start` returned when the run began, if it did


class Tracker(Protocol):
  """Shows a run elsewhere. Each method may raise any exception."""

  def start(self, begun: Begun) -> str | None:
    """Begin or go on; return the tracker's own name of the run, if any."""

  def row(self, row: Mapping[str, Any]) -> None:
    """Take a row of metrics.jsonl: step, split, epoch and the metrics."""

  def picture(self, name: str, step: int, picture: NDArray[np.uint8]) -> None:
    """Take a sample grid [H, W, C], C = 1 or 3."""

  def close(self, done: bool) -> None:
    """End; `done` tells whether the training came to its end."""


def names() -> list[str]:
  """List the trackers that a name can ask for."""
  return sorted(found.name for found in pkgutil.iter_modules(__path__))


def load(name: str) -> Tracker:
  """Return a tracker by its name.

  Raises:
    ConfigError: there is no such tracker, or its package is not installed.
  """
  if name not in names():
    raise ConfigError(f"no tracker {name!r}{hint(name, names())}")
  found = importlib.util.find_spec(name)
  if found is None or found.origin is None:  # only a folder of that name
    raise ConfigError(
      f'tracker {name} needs the package {name}: pip install "cvae_jax[track]"'
    )
  return importlib.import_module(f"{__name__}.{name}").Writer()


def metrics(row: Mapping[str, Any]) -> dict[str, float]:
  """Return a row's numbers by their names in TensorBoard."""
  split = row["split"]
  return {
    f"{split}/{name}": value
    for name, value in row.items()
    if name not in ("step", "split")
  }


def drawable(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
  """Return a picture [H, W, C] as RGB, which every tracker draws."""
  return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


class Trackers:
  """The trackers of one training, each until it fails."""

  def __init__(self, folder: Path, trackers: Sequence[str | Tracker] = ()):
    self.folder = folder
    self._open: dict[str, Tracker] = {}
    self._seen: dict[str, set[tuple[int, str]]] = {}
    for tracker in trackers:
      if isinstance(tracker, str):
        self._open[tracker] = load(tracker)
      else:
        self._open[f"{type(tracker).__name__} {len(self._open)}"] = tracker

  def start(
    self,
    config: Mapping[str, Any],
    step: int,
    kept: Sequence[Mapping[str, Any]],
    dropped: Sequence[Mapping[str, Any]],
  ) -> None:
    """Begin, or go on after `step`.

    A tracker that knows the run has seen the rows that a kill took back, and
    does not get them again. A new tracker gets all rows so far.
    """
    if not self._open:
      return
    known = self._read_runs()
    named = dict(known)
    for name in list(self._open):
      old = known.get(name)
      with self._guard(name):
        begun = Begun(self.folder, config, step, old)
        if given := self._open[name].start(begun):
          named[name] = given
        if old:
          self._seen[name] = {(row["step"], row["split"]) for row in dropped}
        else:
          for row in kept:
            self._open[name].row(row)
    if named != known:
      content = json.dumps(named, indent=2) + "\n"
      write_atomically(self.folder / FILE, content)

  def row(self, row: Mapping[str, Any]) -> None:
    """Show a row."""
    for name in list(self._open):
      if (row["step"], row["split"]) not in self._seen.get(name, ()):
        with self._guard(name):
          self._open[name].row(row)

  def picture(self, name: str, step: int, picture: NDArray[np.uint8]) -> None:
    """Show a sample grid [H, W, C]."""
    for tracker in list(self._open):
      with self._guard(tracker):
        self._open[tracker].picture(name, step, picture)

  def close(self, done: bool) -> None:
    """End all that are left."""
    for name in list(self._open):
      with self._guard(name):
        self._open[name].close(done)
    self._open = {}

  def _read_runs(self) -> dict[str, str]:
    path = self.folder / FILE
    if not path.exists():
      return {}
    try:
      return read_json(path, dict, "it is written anew")
    except DamagedFile as error:
      say(f"warning: {error}")
      return {}

  @contextlib.contextmanager
  def _guard(self, name: str) -> Iterator[None]:
    """Drop a tracker that fails, with one warning."""
    try:
      yield
    except Stop:
      raise
    except Exception as error:
      broken = self._open.pop(name)
      with contextlib.suppress(Exception):
        broken.close(False)
      said = " ".join(str(error).split())[:300]
      say(
        f"warning: {self.folder}: tracker {name} failed ({type(error).__name__}"
        f": {said}); training goes on without it, metrics.jsonl has the numbers"
      )
