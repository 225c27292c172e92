"""Do samples show what was asked for? Read by judges, attribute by attribute.

A data source's Conditions say what can be asked for: `attributes`, each of a
kind that has its own figure of merit. They make the requests (`probe`), and
measure attributes that need no judge (`gauge`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.measures.judges import (
  Reader,
  check_judges,
  load_training_data,
)
from cvae_jax.metrics import merits
from cvae_jax.metrics.control import deviation
from cvae_jax.runs import Run, RunError

__all__ = ["Reader", "check_judges", "lines", "score", "warnings"]

LEGIBLE = 0.5  # how far above chance a judge should read real images
CEILING = 5000  # real images that a judge reads for the ceiling, at most


def score(
  run: Run,
  judges: Sequence[Run],
  test: Mapping,
  count: int,
  seed: int,
  trained: Sequence[Mapping] | None = None,
) -> dict[str, Any]:
  """Score the control of each attribute that can be read.

  Args:
    run: a run that decodes.
    judges: runs of the judge or attribute system.
    test: the run's test split, for real conditions and images.
    count: samples of each class or level. At the conditions of real images
      there are ten times as many.
    seed: of every random draw here.
    trained: the training split of each judge; None to load them.

  Returns:
    control: {attribute: its figures}. `sweep` is of samples in which one
    attribute at a time is asked for, `real` of samples at the conditions of
    real images, and `ceiling` of real images that no judge was trained on.
    leakage: see `_leakage`.

  Raises:
    RunError: judges do not fit; see Reader.
  """
  read = Reader(run.conditions, judges)
  conditions = run.conditions
  check_shapes(judges, test["image"].shape[1:])
  rows = _draw_rows(test["condition"], 10 * count, seed)
  real = read(run.sample(rows, seed), rows)
  if trained is None:
    trained = load_training_data(judges)
  fresh = _select_unseen(test, trained)
  ceiling = read(*fresh) if len(fresh[0]) else {}
  found = {}
  for name in real:
    if not conditions.known(rows, name).any():
      continue  # nothing is known of it that could be asked for
    asked = conditions.probe(name, rows, count)
    sweep = read(run.sample(asked, seed), asked)[name]
    found[name] = {
      "sweep": figures(conditions, name, asked, sweep, seed),
      "real": figures(conditions, name, rows, real[name], seed),
    }
    if name in read.judges:
      found[name]["judge"] = str(read.judges[name][0].folder)
      if name in ceiling and conditions.known(fresh[1], name).any():
        found[name]["ceiling"] = figures(
          conditions, name, fresh[1], ceiling[name], seed
        )
  return {
    "control": found,
    "leakage": _leakage(run, read, rows[: 2 * count], test, seed),
  }


def judge_shape(judge: Run) -> tuple[int, ...]:
  """Return the shape [H, W, C] of the images that a judge reads."""
  stated = judge.config.data.get("image_shape")
  return tuple(stated or judge.system.columns["image"])


def check_shapes(judges: Sequence[Run], shape: tuple[int, ...]) -> None:
  """Check that judges read images [H, W, C] of a run.

  Raises:
    RunError: one reads images of another shape.
  """
  for judge in judges:
    if (own := judge_shape(judge)) != shape:
      raise RunError(
        f"judge {judge.folder} reads images of shape {own}; the run's are "
        f"{shape}"
      )


def _draw_rows(rows: NDArray, count: int, seed: int) -> NDArray:
  return rows[np.random.default_rng(seed).integers(len(rows), size=count)]


def figures(
  conditions: Any, name: str, asked: NDArray, read: NDArray, seed: int
) -> dict[str, Any]:
  """Score one attribute of requests [N, A] by its readings [N, K].

  Rows that do not ask for this attribute do not count.
  """
  known = conditions.known(asked, name)
  wanted = asked[known][:, conditions.columns(name)]
  return merits.score(conditions.attribute(name), wanted, read[known], seed)


def _select_unseen(
  test: Mapping, trained: Sequence[Mapping]
) -> tuple[NDArray, NDArray]:
  """Return test images, and conditions, that are in no split of `trained`.

  At most CEILING of them are taken, spread evenly: MNIST's halves, for one, are
  not alike. Images are compared by their bytes, since a judge may have been
  trained on another split.
  """
  seen: set[bytes] = set()
  for split in {id(one): one for one in trained}.values():
    seen |= set(_digests(split["image"]))
  kept = [i for i, d in enumerate(_digests(test["image"])) if d not in seen]
  kept = kept[:: -(-len(kept) // CEILING) or 1]
  return test["image"][kept], test["condition"][kept]


def _digests(images: NDArray) -> Iterator[bytes]:
  for image in images:
    yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _leakage(run, read: Reader, rows: NDArray, test, seed: int):
  """Measure how an attribute that moves changes the readings of all others.

  Each attribute moves from its low to its high end in turn. The latents and
  the other attributes stay the same.

  Returns:
    change: {moved: {read: mean change}}, in the unit of the attribute that is
    read. For a class of two levels it is the change of the first level's
    probability, for a class of more the share that moves to other levels, for
    labels, ranks and angles half the sum over their entries.
    std: the standard deviation of each attribute in the test split.
    normalised: `change` divided by `std`.
    The result is None if only one attribute can move, or without a judge.
  """
  conditions = run.conditions
  z = run.prior(len(rows), seed, rows)
  std = {name: _spread(conditions, name, test) for name in conditions.moved}
  moving = [name for name in std if std[name]]  # the others cannot be moved
  if len(moving) < 2 or not read.judges:
    return None
  change = {}
  normalised = {}
  for moved in moving:
    ends = []
    for value in conditions.ends(moved):
      asked = conditions.put(rows, moved, value)
      ends.append(read(run.guided(z, asked, run.guidance), asked))
    low, high = ends
    change[moved] = {
      name: merits.change(conditions.attribute(name), low[name], high[name])
      for name in moving
      if name in low
    }
    normalised[moved] = {n: v / std[n] for n, v in change[moved].items()}
  return {"change": change, "normalised": normalised, "std": std}


def _spread(conditions: Any, name: str, test: Mapping) -> float:
  """Return the deviation of an attribute's entries in the test split.

  Where the first entry says all it is that one's, see merits.is_line. Else, as
  for a class, it is half the sum of all.
  """
  rows = test["condition"][conditions.known(test["condition"], name)]
  entries = rows[:, conditions.columns(name)]
  if not len(entries):
    return 0.0
  if merits.is_line(conditions.attribute(name), entries):
    return deviation(entries[:, 0])
  return 0.5 * sum(map(deviation, entries.T))


def warnings(scores: Mapping[str, Any]) -> list[str]:
  """Name the attributes that samples do not follow."""
  found = []
  for name, entry in scores["control"].items():
    if said := merits.describe_ignored(name, entry["sweep"]):
      found.append(f"condition ignored: {said}")
    blind = "ceiling" in entry and merits.describe_ignored(
      name, entry["ceiling"], LEGIBLE
    )
    if blind:
      found.append(
        f"the judge hardly reads {name} from real images, so its control says "
        "little; train the judge longer or wider"
      )
    if entry["sweep"].get("floor") == 1:
      found.append(f"{name}: all requests are the same, so it was not tested")
  return found


def lines(scores: Mapping[str, Any]) -> list[str]:
  """Return the scores as lines of text: each figure, then the leakage."""
  found = []
  titles = {
    "sweep": "{}, asked for and read",
    "real": "  at conditions of real images",
    "ceiling": "  ceiling: of real images",
  }
  for name, entry in scores["control"].items():
    for kind, title in titles.items():
      if kind in entry:
        found.append(f"{title.format(name):32} {merits.text(entry[kind])}")
    found.append(f"{'  floor: permuted':32} {entry['sweep']['floor']:10.4f}")
  if leakage := scores["leakage"]:
    change = leakage["normalised"]
    found.append("leakage, in standard deviations; moved ↓ read →")
    read = next(iter(change.values()))  # not all that moves has a judge
    widths = {name: max(11, len(name) + 1) for name in read}
    names = "".join(f"{name:>{width}}" for name, width in widths.items())
    found.append(f"{'':32} {names}")
    for moved, row in change.items():
      values = "".join(f"{row[n]:{width}.2f}" for n, width in widths.items())
      found.append(f"{'  ' + moved:32} {values}")
  return found
