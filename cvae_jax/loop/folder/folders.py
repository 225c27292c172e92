"""The folders of runs: finding them, and reading what lies in each."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax.host.files import DamagedFile, read_json
from cvae_jax.host.paths import PathError
from cvae_jax.loop.folder import exports, launches
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.restore import best_step
from cvae_jax.loop.folder.rows import read_metrics

MEASURES = "measures.json"  # see measures.kept
ANEW = "delete it, and what it held is measured anew"
_OF_A_RUN = ("metrics.jsonl", "environment.json", "checkpoints")
_PARTS = ("checkpoints", "samples")  # folders of a run that hold no run


@dataclasses.dataclass(frozen=True)
class Folder:
  """A run's folder. Each file is read when it is first asked for.

  Every field raises DamagedFile if its file cannot be read.
  """

  path: Path

  @functools.cached_property
  def config(self) -> ConfigDict:
    """Return the config of the run, locked."""
    return configs.of_run(self.path)

  @functools.cached_property
  def rows(self) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl, of all splits."""
    return read_metrics(self.path)

  def split(self, name: str) -> list[dict[str, Any]]:
    """Return the rows of one split: train, epoch, valid or test."""
    return [row for row in self.rows if row["split"] == name]

  @functools.cached_property
  def best_step(self) -> int | None:
    """Return the step of the best state, if the run hands that one out."""
    if not self.config.early_stop.restore:
      return None
    with self._latest() as (checkpoints, step):
      return step and best_step(self.config, checkpoints, step)

  def result(self, split: str) -> dict[str, Any]:
    """Return the row of a split for the state that the run hands out.

    It is the last row where the last state counts, and {} without rows.
    """
    rows = self.split(split)
    of_best = [row for row in rows if row["step"] == self.best_step]
    return (of_best or rows or [{}])[-1]

  @functools.cached_property
  def parameters(self) -> int:
    """Return the number of trained parameters."""
    path = self.path / "parameters.txt"
    lines = path.read_text().splitlines()
    match = re.fullmatch(r"total\s+([\d,]+)", lines[-1] if lines else "")
    if match is None:
      raise DamagedFile(
        f"{path} is damaged: its last line is no total; going on with the run "
        "writes it anew"
      )
    return int(match[1].replace(",", ""))

  @property
  def environment(self) -> Mapping[str, Any]:
    """Return what environment.json says of the last launch."""
    return self.launches[-1]

  @functools.cached_property
  def launches(self) -> list[dict[str, Any]]:
    """Return all launches of the run; more than one: it was interrupted."""
    return launches.read(self.path)

  @property
  def measures(self) -> dict[str, dict[str, Any]]:
    """Return the sections of measures.json by name; {} without the file."""
    path = self.path / MEASURES
    if not path.exists():
      return {}
    found = read_json(path, dict, ANEW)
    return {k: v for k, v in found.items() if isinstance(v, dict)}

  @property
  def seconds(self) -> float | None:
    """Return the time of training up to the latest checkpoint.

    It includes evaluating and compiling, over all launches; what a kill took
    back does not count.
    """
    with self._latest() as (checkpoints, step):
      return step and checkpoints.counters(step).get("elapsed")

  @contextlib.contextmanager
  def _latest(self) -> Iterator[tuple[Checkpoints | None, int | None]]:
    """Yield the checkpoints and the latest step; both None without any."""
    if not (self.path / "checkpoints").is_dir():
      yield None, None
      return
    checkpoints = Checkpoints(self.path, read_only=True)
    try:
      yield checkpoints, checkpoints.latest()
    finally:
      checkpoints.close()

  @property
  def done(self) -> bool:
    """Tell whether the run has ended."""
    return (self.path / "DONE").exists()

  @property
  def ended(self) -> bool:
    """Tell whether the run is finished and has the figures of an epoch."""
    return self.done and bool(self.split("epoch"))

  @property
  def exported(self) -> bool:
    """Tell whether it is an export, which has no curve of its training."""
    return exports.is_export(self.path)


def below(folder: str | Path) -> list[Folder]:
  """Find the runs in a folder and in all folders below it.

  A run's folder has a config.json and metrics.jsonl, environment.json or
  checkpoints; links are followed. model=2 comes before model=10.

  Raises:
    PathError: there is no such folder.
  """
  if not Path(folder).is_dir():
    raise PathError(f"{folder} is no folder; expected one of runs")
  paths = filter(_is_run, _folders(Path(folder)))
  return [Folder(path) for path in sorted(paths, key=natural)]


def natural(path: Path) -> list[list[str | int]]:
  """Return a key that sorts names by their numbers: text, number, text, …."""
  return [
    [int(w) if i % 2 else w for i, w in enumerate(re.split(r"(\d+)", part))]
    for part in Path(path).parts
  ]


def _folders(path: Path, above: tuple = ()) -> Iterator[Path]:
  """Yield a folder and those below it; a link back up is not followed."""
  status = path.stat()
  identity = (status.st_dev, status.st_ino)
  if identity in above:
    return
  yield path
  own = _PARTS if _is_run(path) else ()
  for inner in sorted(path.iterdir()):
    if inner.is_dir() and inner.name not in own:
      yield from _folders(inner, (*above, identity))


def _is_run(path: Path) -> bool:
  has_config = (path / "config.json").exists()
  return has_config and any((path / name).exists() for name in _OF_A_RUN)
