"""The ledger: what finished runs reached, a small file for each.

    docs/results/faces_model=9.json

An entry holds a run's config, the code, machine and data of its training, the
figures of every epoch and evaluation, and what was measured of it. It has no
weights. It stands for the run in a table and beside another run, where the
run's folder is gone or on another machine.
"""

import functools
import glob
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import config as configs, settings
from cvae_jax.host import commands
from cvae_jax.host.files import DamagedFile, read_json, write_atomically
from cvae_jax.host.paths import PACKAGE
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.loop.folder.run_data import DATA
from cvae_jax.measures import entries

SPLITS = ("epoch", "valid", "test")  # of rows; those of single steps are left
LAUNCH = ("version", "sha256", "commit", "uncommitted", "python", "packages")
MACHINE = ("device", "cores", "bits")
HASH = 6  # hexadecimal digits of it in a name
REMEDY = "write it again with launch.evaluate --ledger=FOLDER"


class LedgerError(ValueError):
  """Says why a run has no entry, or that there is none of a name."""


class Entry(Folder):
  """A run of the ledger, read as a run's folder is; `path` is its file."""

  @functools.cached_property
  def content(self) -> dict[str, Any]:
    """Return what the file holds.

    Raises:
      DamagedFile: it is no entry.
    """
    found = read_json(self.path, dict, REMEDY)
    if not is_entry(found):
      raise DamagedFile(f"{self.path} is no entry of a ledger; {REMEDY}")
    return found

  @functools.cached_property
  def config(self) -> ConfigDict:
    """Return the run's config, locked."""
    return configs.from_json(json.dumps(self.content["config"]))

  @property
  def rows(self) -> list[dict[str, Any]]:
    """Return the rows of epochs and evaluations."""
    return self.content["rows"]

  @property
  def parameters(self) -> int | None:
    """Return the number of trained parameters; None where it is not known."""
    return self.content.get("parameters")

  @property
  def best_step(self) -> int | None:
    """Return the step of the best state, if the run hands that one out."""
    return self.content.get("best_step")

  @property
  def launches(self) -> list[dict[str, Any]]:
    """Return the launches of the run; all but the last one are empty."""
    before = self.content.get("launches", 1) - 1
    return [{}] * before + [self.content["launch"]]

  @property
  def seconds(self) -> float | None:
    """Return the time of training up to the last checkpoint."""
    hours = self.content.get("hours")
    return None if hours is None else 3600 * hours

  @property
  def measures(self) -> dict[str, Any]:
    """Return the sections of the run's measures.json."""
    return self.content.get("measures", {})

  @property
  def done(self) -> bool:
    """Tell whether the run had ended."""
    return self.content.get("finished", True)


def is_entry(found: Mapping[str, Any]) -> bool:
  """Tell whether the content of a JSON file is an entry's."""
  kinds = {"config": dict, "launch": dict, "rows": list}
  return all(isinstance(found.get(key), kind) for key, kind in kinds.items())


def folder() -> Path:
  """Return the project's own ledger: docs/results, or as it is installed."""
  checkout = PACKAGE.parent / "docs" / "results"
  return checkout if checkout.is_dir() else PACKAGE / "results"


def below(place: Path) -> list[Entry]:
  """Return the entries that lie in a folder, by name."""
  found = [Entry(path) for path in sorted(Path(place).glob("*.json"))]
  return [entry for entry in found if _is_readable(entry)]


def _is_readable(entry: Entry) -> bool:
  try:
    return bool(entry.content)
  except DamagedFile:  # another JSON file
    return False


def find(name: str) -> Entry:
  """Return an entry by its file, or by its name in the project's ledger.

  Raises:
    LedgerError: there is none; the names that there are are listed.
  """
  path = Path(name)
  for candidate in (path, folder() / f"{name}.json"):
    if candidate.is_file():
      return Entry(candidate)
  known = [entry.path.stem for entry in below(folder())]
  raise LedgerError(
    f"{name} is neither a folder, nor a file, nor an entry of {folder()}"
    f"{settings.hint(name, known)}"
  )


def open_run(name: str) -> Folder:
  """Return a run by its folder, or an entry as `find` does.

  Raises:
    LedgerError: there is none of that name.
  """
  path = Path(name)
  return Folder(path) if path.is_dir() else find(name)


def write(run: Folder, out: Path) -> Path:
  """Write a finished run's entry into a folder; return its file.

  It is named after the page and the seed. Where another config, or one of
  other data, has that name, a part of the hash of both follows. An entry of
  the same training is replaced.

  Raises:
    LedgerError: see `check`.
  """
  check(run)
  content = make(run)
  path = _find_file(Path(out), _name(run), content)
  write_atomically(path, json.dumps(content, indent=1) + "\n")
  return path


def _find_file(out: Path, name: str, content: Mapping[str, Any]) -> Path:
  """Return the file of a training's entry in a folder, or one for a new entry.

  The hashes in file names are not compared, since older ones were made of
  other content.
  """
  plain = out / f"{name}.json"
  hashed = sorted(out.glob(f"{glob.escape(name)},{'[0-9a-f]' * HASH}.json"))
  for path in (plain, *hashed):
    known = path.exists() and _is_readable(entry := Entry(path))
    if known and entries.is_same_training(identify(entry), content):
      return path
  if not plain.exists():
    return plain
  return out / f"{name},{entries.digest(content)[:HASH]}.json"


def check(run: Folder) -> None:
  """Check that a run can have an entry.

  Raises:
    LedgerError: it has not ended, or is an export.
  """
  if run.exported:
    raise LedgerError(f"{run.path} is an export, {entries.NO_CURVE}")
  if not run.ended:
    raise LedgerError(
      f"{run.path}: a run comes into a ledger when it has ended; go on with "
      f"it: {commands.format_command('train')} "
      f"--workdir={commands.quote(run.path)}"
    )


def make(run: Folder) -> dict[str, Any]:
  """Return the content of a run's entry, figures to six digits."""
  launch = {
    key: run.environment[key]
    for key in (*LAUNCH, *MACHINE)
    if key in run.environment
  }
  seconds = run.seconds
  known = identify(run)
  return {
    "name": run.config.name,
    "config": known["config"],
    "finished": True,
    "parameters": run.parameters,
    "best_step": run.best_step,
    "launches": len(run.launches),
    "hours": None if seconds is None else round(seconds / 3600, 3),
    "launch": launch,
    "data": known["data"],
    "measures": entries.without_places(entries.rounded(run.measures)),
    "rows": known["rows"],
  }


def identify(run: Folder) -> dict[str, Any]:
  """Return the config, data and rows by which a run is told from others.

  A run's folder and its entry have equal ones. Keys that an old entry lacks
  have their defaults.
  """
  if isinstance(run, Entry):
    data = run.content.get("data")
    config = run.config.to_dict()
    return {"config": config, "data": data, "rows": run.rows}
  path = run.path / DATA
  return {
    "config": entries.without_places(run.config.to_dict()),
    "data": json.loads(path.read_text()) if path.exists() else None,
    "rows": [entries.rounded(r) for r in run.rows if r["split"] in SPLITS],
  }


def _name(run: Folder) -> str:
  """Return the page with its seed; of a run without a page, its folder."""
  seed = run.config.get("seed")
  name = run.config.name or run.path.name
  return re.sub(r"[/:]", "_", name) + (f",seed={seed}" if seed else "")
