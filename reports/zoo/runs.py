"""The zoo's runs below a folder: what each is and what it is worth."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from cvae_jax import config as configs, data, runs
from cvae_jax.loop.folder.checkpoint import CheckpointError
from cvae_jax.loop.folder.run_data import Datasets, RunMismatch
from cvae_jax.measures import control, ledger, likeness, score, variety
from reports import ReportError, below, is_of_same_images
from reports.zoo.titles import is_ours, title

JUDGE = "attribute"  # the system that reads samples
EPOCHS = (1, 5, 10)  # after which the source shows its VAEs
SAMPLES = 200  # of each class, that the judge reads of a kept state


class Entry(NamedTuple):
  """A finished run, and what was measured of it; {} where nothing was."""

  title: str
  folder: Path | None  # None: only a ledger has the run
  config: ConfigDict
  tests: list[Mapping[str, Any]]  # the test row of each epoch
  environment: Mapping[str, Any]  # of its last launch
  scores: Mapping[str, Any] = {}  # see cvae_jax.measures.score
  variety: Mapping[str, Any] = {}  # see cvae_jax.measures.variety
  likeness: Mapping[str, Any] = {}  # see cvae_jax.measures.likeness
  hits: Mapping[int, float] = {}  # of a class asked for, by epoch

  @property
  def last(self) -> Mapping[str, Any]:
    """Return the test row of the last epoch."""
    return self.tests[-1]

  @property
  def epochs(self) -> int:
    """Count the epochs that the run had."""
    return round(self.last["epoch"])


class Zoo(NamedTuple):
  """What a report is on."""

  groups: Mapping[str, list[Entry]]  # runs that differ in their seed, by title
  judges: list[runs.Run]
  unfinished: list[str]  # what is under way or was left

  def of(self, title: str) -> list[Entry]:
    """Return the runs of a title, by seed; none if there are none."""
    return self.groups.get(title, [])

  def here(self, title: str) -> list[Entry]:
    """Return the runs of a title that have a folder, by seed."""
    return [entry for entry in self.of(title) if entry.folder]


def collect(folder: Path, results: Path | None = None) -> Zoo:
  """Find the zoo's runs in a folder, and in those that lie in it.

  Args:
    folder: of runs.
    results: a ledger, for the titles that have no run there.

  Raises:
    ReportError: two runs are the same but for their place, or runs of digits
      are of different digits.
  """
  found = {}
  judges = []
  unfinished = []
  for run in below(folder):
    is_judge = run.config.system == JUDGE
    if not is_judge and not is_ours(run.config):
      continue
    tests = run.split("test")
    if not run.done or not tests:
      where = f"epoch {round(tests[-1]['epoch'])}" if tests else "its start"
      unfinished.append(f"{run.path.name} (at {where} of {run.config.epochs})")
    elif is_judge:
      judges.append(runs.load(run.path))
    else:
      entry = Entry(
        title(run.config), run.path, run.config, tests, run.environment
      )
      key = entry.title, run.config.seed
      if key in found:
        raise ReportError(
          f"{run.path} and {found[key].folder} are both {entry.title} of seed "
          f"{run.config.seed}; report on a folder with one run of each"
        )
      found[key] = entry
  _check(found.values())
  if results:
    found |= recall(results, found.values())
  groups = {}
  for name, seed in sorted(found):
    groups.setdefault(name, []).append(found[name, seed])
  return Zoo(groups, judges, unfinished)


def recall(
  results: Path, known: Collection[Entry]
) -> dict[tuple[str, int], Entry]:
  """Return what a ledger has of other titles, by title and seed.

  What was measured then is in it. Entries that chose settings on held-out
  digits are left out, and those that were measured on other images than the
  runs that are known. Of two that are alike but for settings that their title
  does not name, the first one counts.
  """
  titles = {entry.title for entry in known}
  first = {e.config.data.name: runs.Folder(e.folder) for e in known}
  found = {}
  for kept in ledger.below(results):
    config = kept.config
    tests = kept.split("test")
    if not is_ours(config) or not kept.done or not tests:
      continue
    name = title(config)
    if name in titles or config.data.get("holdout"):
      continue
    if not is_of_same_images(first.setdefault(config.data.name, kept), kept):
      print(f"{kept.path}: left out, it is of other images than the rest")
      continue
    parts = ("scores", "variety", "likeness")
    measured = {part: kept.measures.get(part, {}) for part in parts}
    entry = Entry(name, None, config, tests, kept.environment, **measured)
    same = found.setdefault((name, config.seed), entry)
    if same is not entry:
      print(f"{kept.path}: left out, another entry is {name} of its seed")
  return found


def _check(entries) -> None:
  digits = {
    (e.config.data.source, e.config.data.path): e.folder
    for e in entries
    if e.config.data.name == "digits"
  }
  if len(digits) > 1:
    (one, first), (other, second), *_ = digits.items()
    raise ReportError(
      f"{first} is of the digits {one} and {second} of {other}: their figures "
      "cannot be compared; report on runs of the same"
    )


def state(entry: Entry, epoch: int) -> runs.Run | None:
  """Restore a run as it was after an epoch; None if that was not kept."""
  for row in entry.tests if entry.folder else ():
    if round(row["epoch"]) == epoch:
      try:
        return runs.load(entry.folder, row["step"])
      except CheckpointError:
        return None
  return None


def measure_all(zoo: Zoo) -> Zoo:
  """Measure what is not yet in the runs' folders; says what cannot be."""
  entries = {
    entry.folder: _add_scores(entry, zoo.judges)
    for title in zoo.groups
    for entry in zoo.here(title)
  }
  of_data = {}
  for entry in entries.values():
    if entry.config.data.name == "faces":
      key = configs.to_json(entry.config.data)
      of_data.setdefault(key, []).append(entry)
  for alike in of_data.values():
    entries |= {entry.folder: entry for entry in _add_samples(alike)}
  groups = {
    name: [entries.get(entry.folder, entry) for entry in group]
    for name, group in zoo.groups.items()
  }
  return zoo._replace(groups=groups)


def _add_scores(entry: Entry, judges: list[runs.Run]) -> Entry:
  """Add the scores of a run, by the judges of its kind of images."""
  shape = entry.config.data.image_shape
  fitting = [j for j in judges if j.config.data.image_shape == shape]
  try:
    found = entry._replace(
      scores=score.load_or_measure(runs.load(entry.folder), fitting)
    )
    return found._replace(hits=_measure_hits(entry, fitting))
  except (data.DataError, runs.RunError) as error:
    print(f"{entry.folder}: not scored: {error}")
    return entry


def _measure_hits(entry: Entry, judges: list[runs.Run]) -> dict[int, float]:
  """Return the share of SCVAE's samples that show their class, by epoch."""
  if not judges or not entry.title.startswith("SCVAE"):
    return {}
  kept = {e: run for e in EPOCHS if (run := state(entry, e))}
  found = {}
  for epoch, run in kept.items():
    asked = run.conditions.probe("class", (), SAMPLES)
    read = control.Reader(run.conditions, judges)(run.sample(asked), asked)
    hits = read["class"].argmax(axis=1) == asked.argmax(axis=1)
    found[epoch] = float(hits.mean())
  return found


def _add_samples(entries: list[Entry]) -> list[Entry]:
  """Add variety and likeness of faces of the same data, as far as there are.

  The one needs the data, the other the weights of VGG16 too.
  """
  try:
    found = [runs.load(entry.folder) for entry in entries]
    load = Datasets()
    # Equal configs: one set, which is to be that of every run.
    dataset, *_ = [load(run.folder, run.config.data) for run in found]
    entries = [
      entry._replace(variety=variety.measure(run, dataset.test))
      for entry, run in zip(entries, found, strict=True)
    ]
    return [
      entry._replace(likeness=seen)
      for entry, seen in zip(
        entries, likeness.measure(found, dataset), strict=True
      )
    ]
  except (data.DataError, RunMismatch) as error:
    print(f"faces are not measured in full: {error}")
    return entries
