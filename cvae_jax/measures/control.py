"""Do samples show what was asked for? Read by judges, attribute by attribute.

A data source's Conditions say what there is to ask for: `attributes`, {name:
columns of the condition vector}; several columns are a class, one is a value.
They make the requests (`probe`) and measure what needs no judge (`gauge`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run_data import Datasets
from cvae_jax.metrics import control
from cvae_jax.runs import Run, RunError, unit

CEILING = 5000  # real images that it is read from, at most
IGNORED = 0.1  # of the way from chance to certainty; a correlation below it


class Reader:
  """Reads from images every attribute that it has a judge or a gauge for."""

  def __init__(self, conditions: Any, judges: Sequence[Run] = ()):
    """Find what each judge reads.

    Raises:
      RunError: a run is no judge, or one reads nothing that conditions has,
        or is given what no other judge reads.
    """
    check_judges(judges)
    self.conditions, self.judges = conditions, {}
    of = {_names(conditions, c): n for n, c in conditions.attributes.items()}
    for judge in sorted(judges, key=lambda j: len(j.config.columns.given)):
      target, given = (
        _names(judge.conditions, judge.config.columns[kind])
        for kind in ("target", "given")
      )
      if target not in of:
        raise RunError(
          f"judge {judge.folder} reads {', '.join(target)}; the run is "
          f"conditioned on {', '.join(conditions.names)}"
        )
      if given and of.get(given) not in self.judges:
        raise RunError(
          f"judge {judge.folder} is given {', '.join(given)} beside the "
          "image: add the judge that reads them to --judge"
        )
      self.judges[of[target]] = judge, of.get(given)

  def __call__(self, images: NDArray, asked: NDArray) -> dict[str, NDArray]:
    """Read {attribute: [N, K]} from images of which [N, A] was asked."""
    images = np.clip(unit(images), 0.0, 1.0)  # what a picture can show
    found = {}
    for name, (judge, given) in self.judges.items():
      found[name] = judge.predict(images, found[given] if given else None)
    return found | self.conditions.gauge(images, asked)


def check_judges(judges: Sequence[Run]) -> None:
  """Check that runs read attributes.

  Raises:
    RunError: one does not.
  """
  for judge in judges:
    if "columns" not in judge.config:
      raise RunError(
        f"{judge.folder} is no judge: it is a run of {judge.config.system!r}, "
        "which reads no attributes from images; give runs of "
        "configs/classifier.py (digits) or configs/attributes.py (faces)"
      )


def _names(conditions: Any, columns: Sequence[int]) -> tuple[str, ...]:
  return tuple(conditions.names[i] for i in columns)


def score(
  run: Run, judges: Sequence[Run], test: Mapping, count: int, seed: int
) -> dict[str, Any]:
  """Score the control of each attribute that can be read.

  Args:
    run: a run that decodes.
    judges: runs of the attribute system.
    test: the run's test split, for real conditions and images.
    count: samples of each class or level; ten times as many at real ones.
    seed: of every random draw here.

  Returns:
    control: {attribute: `sweep`, asked for one at a time; `real`, at
    conditions of real images; `ceiling`, the reading of real images that no
    judge was trained on}; leakage: see `_leakage`.

  Raises:
    RunError: judges do not fit; see Reader.
  """
  read, conditions = Reader(run.conditions, judges), run.conditions
  for judge in judges:
    shape = tuple(judge.config.data.image_shape)
    if shape != test["image"].shape[1:]:
      raise RunError(
        f"judge {judge.folder} reads images of shape {shape}; the run's are "
        f"{test['image'].shape[1:]}"
      )
  rows = _drawn(test["condition"], 10 * count, seed)
  real = read(run.sample(rows, seed), rows)
  fresh = _unseen(test, judges)
  ceiling = read(*fresh) if len(fresh[0]) else {}
  found = {}
  for name in real:
    columns = list(conditions.attributes[name])
    asked = conditions.probe(name, rows, count)
    sweep = read(run.sample(asked, seed), asked)[name]
    found[name] = {
      "sweep": _figures(asked[:, columns], sweep, seed),
      "real": _figures(rows[:, columns], real[name], seed),
    }
    if name in read.judges:
      found[name]["judge"] = str(read.judges[name][0].folder)
      if name in ceiling:
        labels = fresh[1][:, columns]
        found[name]["ceiling"] = _figures(labels, ceiling[name], seed)
  return {
    "control": found,
    "leakage": _leakage(run, read, rows[: 2 * count], test, seed),
  }


def _drawn(rows: NDArray, count: int, seed: int) -> NDArray:
  return rows[np.random.default_rng(seed).integers(len(rows), size=count)]


def _figures(asked: NDArray, read: NDArray, seed: int) -> dict[str, Any]:
  """Compare what was asked for [N, K] with what was read [N, K]."""
  if asked.shape[1] > 1:
    found = control.hits(asked.argmax(axis=-1), read)
  else:
    found = control.agreement(asked[:, 0], read[:, 0])
    found["floor"] = control.chance(asked[:, 0], read[:, 0], seed)
  return found | {"samples": len(asked)}


def _unseen(test: Mapping, judges: Sequence[Run]) -> tuple[NDArray, NDArray]:
  """Return test images, and conditions, that no judge was trained on.

  The first CEILING of them.

  Images are told by their bytes, since a judge's split may be another.
  """
  seen, load = set(), Datasets()
  sets = [load(judge.folder, judge.config.data) for judge in judges]
  for dataset in {id(one): one for one in sets}.values():
    seen |= set(_digests(dataset.train["image"]))
  kept = [i for i, d in enumerate(_digests(test["image"])) if d not in seen]
  kept = kept[:CEILING]
  return test["image"][kept], test["condition"][kept]


def _digests(images: NDArray) -> Iterator[bytes]:
  for image in images:
    yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _leakage(run, read: Reader, rows: NDArray, test, seed: int):
  """Move one attribute from low to high, latent and the others held.

  Returns:
    change: {moved: {read: mean change}}, in the unit of what is read; of a
    class of two it is the first one's probability. normalised: the same over
    `std`, the standard deviation of what is read in the test split. None with
    one such attribute, or without a judge.
  """
  conditions, z = run.conditions, run.prior(len(rows), seed)
  first = {n: c[0] for n, c in conditions.attributes.items() if len(c) <= 2}
  std = {n: float(test["condition"][:, i].std()) for n, i in first.items()}
  first = [name for name in first if std[name]]  # the others cannot be moved
  if len(first) < 2 or not read.judges:
    return None
  change, normalised = {}, {}
  for moved in first:
    ends = []
    for value in conditions.ends(moved):
      asked = rows.copy()
      asked[:, list(conditions.attributes[moved])] = value
      ends.append(read(run.decode(z, asked), asked))
    low, high = ends
    change[moved] = {
      name: float((high[name] - low[name])[:, 0].mean())
      for name in first
      if name in low
    }
    normalised[moved] = {n: v / std[n] for n, v in change[moved].items()}
  return {"change": change, "normalised": normalised, "std": std}


def warnings(scores: Mapping[str, Any]) -> list[str]:
  """Name the attributes that samples do not follow."""
  found = []
  for name, entry in scores["control"].items():
    sweep = entry["sweep"]
    if "hit_rate" in sweep:
      share, chance = sweep["hit_rate"], sweep["floor"]
      if share - chance < IGNORED * (1 - chance):
        found.append(
          f"condition ignored: {share:.1%} of samples show the requested "
          f"{name}, permuted requests give {chance:.1%}"
        )
    elif sweep["correlation"] < IGNORED:
      found.append(
        f"condition ignored: requested and measured {name} correlate by "
        f"{sweep['correlation']:.2f}"
      )
  return found


def lines(scores: Mapping[str, Any]) -> list[str]:
  """Lay the scores out as text: a line a figure, then the leakage."""
  found = []
  titles = {
    "sweep": "{}, asked for and read",
    "real": "  at conditions of real images",
    "ceiling": "  ceiling: of real images",
  }
  for name, entry in scores["control"].items():
    for kind, title in titles.items():
      if kind in entry:
        found.append(f"{title.format(name):32} {_text(entry[kind])}")
    found.append(f"{'  floor: permuted':32} {entry['sweep']['floor']:10.4f}")
  if leakage := scores["leakage"]:
    change = leakage["normalised"]
    found.append("leakage, in standard deviations; moved ↓ read →")
    read = next(iter(change.values()))  # not all that moves has a judge
    found.append(f"{'':32} " + "".join(f"{name:>11}" for name in read))
    for moved, row in change.items():
      values = "".join(f"{value:11.2f}" for value in row.values())
      found.append(f"{'  ' + moved:32} {values}")
  return found


def _text(figures: Mapping[str, Any]) -> str:
  if "hit_rate" in figures:
    low, high = figures["interval"]
    share = f"{figures['hit_rate']:10.2%}  [{low:.2%}, {high:.2%}]"
    return f"{share}, n = {figures['samples']}"
  return (
    f"{figures['correlation']:10.4f}  slope {figures['slope']:.4f}, mean "
    f"absolute error {figures['mean_absolute_error']:.4f}"
  )
