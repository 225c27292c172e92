"""The zoo's runs below a folder: what each is and what it is worth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from cvae_jax import config as configs, data, runs
from cvae_jax.loop.folder.checkpoint import CheckpointError
from cvae_jax.loop.folder.run_data import Datasets, RunMismatch
from cvae_jax.measures import control, likeness, score, variety
from reports import ReportError, variants

JUDGE = "attribute"  # the system that reads samples
EPOCHS = (1, 5, 10)  # after which the source shows its VAEs
SAMPLES = 200  # of each class, that the judge reads of a kept state
SYSTEMS = ("vae", "m2", "m3", "aae", "ssaae", "dfc_vae", "caae")
KINDS = {  # the variants of each page that name a method, its default first
  "zoo": (
    *("vae", "scvae", "m1", "m2", "m1m2", "m3"),
    *("aae", "ilaae", "ssaae"),
  ),
  "zoo_faces": ("dfc_vae", "caae"),
}


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
  found = {}
  judges = []
  unfinished = []
  for run in runs.below(folder):
    is_judge = run.config.system == JUDGE
    ours = variants.find(run.config).page in KINDS
    if not is_judge and not (ours and run.config.system in SYSTEMS):
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
  asked = variants.find(config)
  kind = asked.choice(KINDS[asked.page])
  name = {
    "vae": "VAE, {latents} latents",
    "scvae": "SCVAE, {latents} latents",
    "m1": "M1, {latents} latents",
    "m2": "M2",
    "m1m2": "M1+M2",
    "m3": "M3",
    "aae": "AAE, {prior}",
    "ilaae": "ilAAE, {prior}",
    "ssaae": "SSAAE",
    "dfc_vae": "DFC-VAE, {taps}",
    "caae": "CAAE",
  }[kind].format(
    latents=config.model.get("latents"),
    prior=str(config.model.get("prior")).replace("_", " "),
    taps=_taps(config),
  )
  if kind == "dfc_vae" and not config.model.features.taps:
    name = "pixel VAE"
  labels = config.data.get("labels", -1)
  if labels > 0:
    name += f", {labels} labels"
  return name + (", faithful" if asked.has("faithful") else "")


def _taps(config: ConfigDict) -> str:
  """Name the layers that a feature loss reads: 123 of relu1, relu2, relu3."""
  taps = config.model.get("features", {}).get("taps", ())
  return "".join(tap[len("relu")] for tap in taps)


def state(entry: Entry, epoch: int) -> runs.Run | None:
  """Restore a run as it was after an epoch; None if that was not kept."""
  for row in entry.tests:
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
    for group in zoo.groups.values()
    for entry in group
  }
  of_data = {}
  for entry in entries.values():
    if entry.config.data.name == "faces":
      key = configs.to_json(entry.config.data)
      of_data.setdefault(key, []).append(entry)
  for alike in of_data.values():
    entries |= {entry.folder: entry for entry in _add_samples(alike)}
  groups = {
    name: [entries[entry.folder] for entry in group]
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
