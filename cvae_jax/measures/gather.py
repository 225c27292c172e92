"""Find the runs and entries of a ledger in some places, and name them."""

import collections
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from cvae_jax.loop.folder import folders
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.measures import entries, ledger


def find(places: Sequence[str | Path]) -> dict[str, Folder]:
  """Find the runs in and below folders: {name: run}, in natural order.

  A name is the path of a run from the one folder that was given, or from the
  folder that all of them lie in. An entry of a ledger has its file's name.
  Where two have one name, their folders' names come before it. A run and its
  entry, or two entries of one run, that have one name are found once.

  Args:
    places: folders of runs, runs, ledgers, or entries of the project's ledger
      by name.

  Raises:
    LedgerError: a place is none of these.
  """
  return find_with_notes(places)[0]


def find_with_notes(
  places: Sequence[str | Path],
) -> tuple[dict[str, Folder], list[str]]:
  """Return what `find` does, and a line for each entry that it leaves out."""
  runs: dict[Path, Folder] = {}
  kept: dict[Path, Folder] = {}  # of ledgers
  for place in places:
    if Path(place).is_dir():
      runs |= {run.path.absolute(): run for run in folders.below(place)}
      below = ledger.below(place)
    else:
      below = [ledger.find(str(place))]
    kept |= {entry.path.resolve(): entry for entry in below}
  named = _name_folders(runs, Path(places[0]), len(places))
  named += [(entry.path.stem, entry) for entry in kept.values()]
  named, notes = _leave_out(named)
  found = _set_apart(named)
  return {name: found[name] for name in sorted(found, key=_natural)}, notes


def _natural(name: str) -> list[list[str | int]]:
  return folders.natural(Path(name))


def _name_folders(
  found: Mapping[Path, Folder], place: Path, places: int
) -> list[tuple[str, Folder]]:
  """Name runs by their paths from the folder that holds all of them."""
  root = place.absolute()
  if found and places > 1:
    root = Path(os.path.commonpath([path.parent for path in found]))
  return [
    (path.name if path == root else path.relative_to(root).as_posix(), run)
    for path, run in found.items()
  ]


def _leave_out(
  named: Sequence[tuple[str, Folder]],
) -> tuple[list[tuple[str, Folder]], list[str]]:
  """Leave out the entries of a run that is found in another way, too.

  If a run and its entries have one name, the run is kept. If only entries
  have it, the one with the most measures is kept.

  Returns:
    The runs and entries that are kept, and a line for each other entry.
  """
  alike: dict[str, list[Folder]] = {}
  for name, run in named:
    alike.setdefault(name, []).append(run)
  left: list[tuple[str, Folder]] = []
  notes = []
  for name, runs in alike.items():
    if len(runs) == 1:  # nothing to compare it with
      left.append((name, runs[0]))
      continue
    chosen: list[tuple[Folder, dict]] = []
    for run in sorted(runs, key=_rank):
      known = ledger.identify(run)
      same = [c for c, own in chosen if entries.is_same_run(own, known)]
      if same:
        notes.append(
          f"note: {run.path} is an entry of the run {same[0].path}, which has "
          "the row"
        )
      else:
        chosen.append((run, known))
    left += [(name, run) for run, _ in chosen]
  return left, notes


def _rank(run: Folder) -> tuple[bool, int]:
  return isinstance(run, ledger.Entry), -len(run.measures)


def _set_apart(named: Sequence[tuple[str, Folder]]) -> dict[str, Folder]:
  """Put as many folders before names as it takes to tell runs apart."""
  found = [run for _, run in named]
  names = [name for name, _ in named]
  beside = {run.path.absolute() for run in found}
  lengths = [len(Path(name).parts) for name in names]
  while twice := {n for n, c in collections.Counter(names).items() if c > 1}:
    for i, run in enumerate(found):
      if names[i] in twice:
        lengths[i] += 1
        names[i] = _name_longer(run, lengths[i], beside)
  return dict(zip(names, found, strict=True))


def _name_longer(run: Folder, parts: int, beside: Collection[Path]) -> str:
  """Return the last parts of a run's path; of an entry without its ending.

  The ending stays where that would be the path of one of the folders beside.
  """
  path = run.path.absolute()
  if parts > len(path.parts):
    return str(path)
  bare = path.with_suffix("") if isinstance(run, ledger.Entry) else path
  if bare not in beside:
    path = bare
  return Path(*path.parts[-parts:]).as_posix()
