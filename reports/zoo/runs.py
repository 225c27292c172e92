"""The zoo's runs below a folder: what each is and what it is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from cvae_jax import config as configs
from cvae_jax import data, runs
from cvae_jax.loop import launches
from cvae_jax.loop.checkpoint import CheckpointError
from cvae_jax.loop.rows import read_metrics
from cvae_jax.loop.run_data import Datasets, RunMismatch
from cvae_jax.measures import control, likeness, score, variety
from reports import ReportError

JUDGE = "attribute"  # the system that reads samples
EPOCHS = (1, 5, 10)  # after which the source shows its VAEs
SAMPLES = 200  # of each class, that the judge reads of a kept state
SYSTEMS = ("vae", "m2", "m3", "aae", "dfc_vae", "caae")


class Entry(NamedTuple):
  """A finished run, and what was measured of it; {} where nothing was."""

  title: str
  folder: Path
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


def collect(folder: Path) -> Zoo:
  """Find the zoo's runs in a folder, and in those that lie in it.

  Raises:
    ReportError: two runs are the same but for their place, or runs of digits
      are of different digits.
  """
  found, judges, unfinished = {}, [], []
  paths = {*folder.glob("*/config.json"), *folder.glob("*/*/config.json")}
  for path in sorted(paths):
    run = path.parent
    config = configs.of_run(run)
    if config.system not in (JUDGE, *SYSTEMS):
      continue
    tests = [row for row in read_metrics(run) if row["split"] == "test"]
    if not (run / "DONE").exists() or not tests:
      where = f"epoch {round(tests[-1]['epoch'])}" if tests else "its start"
      unfinished.append(f"{run.name} (at {where} of {config.epochs})")
      continue
    if config.system == JUDGE:
      judges.append(runs.load(run))
      continue
    entry = Entry(title(config), run, config, tests, launches.read(run)[-1])
    key = entry.title, config.seed
    if key in found:
      raise ReportError(
        f"{run} and {found[key].folder} are both {entry.title} of seed "
        f"{config.seed}; report on a folder with one run of each"
      )
    found[key] = entry
  _check(found.values())
  groups = {}
  for (name, _), entry in sorted(found.items()):
    groups.setdefault(name, []).append(entry)
  return Zoo(groups, judges, unfinished)


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


def title(config: ConfigDict) -> str:
  """Name what a config is, so that runs that differ in the seed are alike."""
  name = {
    "vae": _vae,
    "m2": _m2,
    "m3": lambda c: "M3",
    "aae": _aae,
    "dfc_vae": _dfc,
    "caae": lambda c: "CAAE",
  }[config.system](config)
  labels = config.data.get("labels", -1)
  if labels > 0:
    name += f", {labels} labels"
  return name + (", faithful" if _faithful(config) else "")


def _vae(config: ConfigDict) -> str:
  name = "SCVAE" if config.data.conditions else "VAE"
  if config.loss.binarise:
    name = "M1"
  return f"{name}, {config.model.latents} latents"


def _m2(config: ConfigDict) -> str:
  return "M1+M2" if config.model.features else "M2"


def _aae(config: ConfigDict) -> str:
  name = "ilAAE" if config.model.slots else "AAE"
  return f"{name}, {config.model.prior.replace('_', ' ')}"


def _dfc(config: ConfigDict) -> str:
  taps = config.model.features.taps
  if not taps:
    return "pixel VAE"
  return "DFC-VAE, " + "".join(tap[len("relu")] for tap in taps)


def _faithful(config: ConfigDict) -> bool:
  """Tell whether a config has its source's bugs, named in configs/zoo.py."""
  model = config.model
  if config.system in ("vae", "m3"):
    return not (model.encoder.dropout or config.loss.get("binarise"))
  if config.system == "m2":
    return config.loss.soft
  if config.system == "aae":
    return tuple(model.encoder.widths) == (2, 2)
  return not model.normalise


def state(entry: Entry, epoch: int) -> runs.Run | None:
  """Restore a run as it was after an epoch; None if that was not kept."""
  for row in entry.tests:
    if round(row["epoch"]) == epoch:
      try:
        return runs.load(entry.folder, row["step"])
      except CheckpointError:
        return None
  return None


def measured(zoo: Zoo) -> Zoo:
  """Measure what is not yet in the runs' folders; says what cannot be."""
  entries = {
    entry.folder: _scored(entry, zoo.judges)
    for group in zoo.groups.values()
    for entry in group
  }
  of_data = {}
  for entry in entries.values():
    if entry.config.data.name == "faces":
      key = configs.to_json(entry.config.data)
      of_data.setdefault(key, []).append(entry)
  for alike in of_data.values():
    entries |= {entry.folder: entry for entry in _seen(alike)}
  groups = {
    name: [entries[entry.folder] for entry in group]
    for name, group in zoo.groups.items()
  }
  return zoo._replace(groups=groups)


def _scored(entry: Entry, judges: list[runs.Run]) -> Entry:
  """Add the scores of a run, by the judges of its kind of images."""
  shape = entry.config.data.image_shape
  fitting = [j for j in judges if j.config.data.image_shape == shape]
  try:
    found = entry._replace(scores=score.saved(runs.load(entry.folder), fitting))
    return found._replace(hits=_hits(entry, fitting))
  except (data.DataError, runs.RunError) as error:
    print(f"{entry.folder}: not scored: {error}")
    return entry


def _hits(entry: Entry, judges: list[runs.Run]) -> dict[int, float]:
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


def _seen(entries: list[Entry]) -> list[Entry]:
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
