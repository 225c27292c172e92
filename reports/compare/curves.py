"""What a run recorded as it trained: which signals track samples' quality."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import scipy.stats
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax.host import images
from cvae_jax.loop.distances import FRECHET, SLICED
from cvae_jax.loop.watch import Patience

FEWEST = 20  # evaluations that a rank correlation is taken of
ORDERS = 500
CHANCE = 0.95  # of blocks, and the quantile that is the floor
LOSSES = ("loss", "critic", "generator")  # a GAN's held-out ones are so named
# The source's rule, applied to what a run without it recorded.
RULE = {
  "mode": "min",
  "patience": 5,
  "min_delta": 0.0,
  "relative": 0.01,
  "smoothing": 0.5,
}

Rows = Sequence[Mapping[str, Any]]  # of metrics.jsonl


def quality(tests: Rows) -> str | None:
  """Name the distance by which evaluations are judged, None without one."""
  names = (n for n in (FRECHET, SLICED) if tests and n in tests[0])
  return next(names, None)


def correlate_losses(
  epochs: Rows, tests: Rows
) -> dict[str, dict[str, float | None]]:
  """Correlate every loss with the distance over a run's evaluations.

  Returns:
    {signal: {"rank correlation" (Spearman's), "given the epoch": the same of
    the residuals of ranks on the evaluation's number, "floor": see `_floor`}}.
    What two curves share beyond a straight trend of their ranks remains, so a
    trend that slows down still shows a little. Signals are the players' losses
    and gaps, and the held-out ones'.
  """
  goal = quality(tests)
  by_step = {row["step"]: row for row in epochs}
  tests = [row for row in tests if row["step"] in by_step]
  if goal is None or len(tests) < FEWEST:
    return {}
  rows = [{**_name_held_out(row), **by_step[row["step"]]} for row in tests]
  wanted = [
    name
    for name in rows[0]
    if (is_loss(name) or name.rpartition("/")[2] in ("gap", SLICED))
    and name != f"held-out/{goal}"
    and all(name in row for row in rows)
  ]
  distances = [row[goal] for row in tests]
  signals = {name: [row[name] for row in rows] for name in wanted}
  floor = _floor([*signals.values()], distances)
  return {
    name: {
      "rank correlation": correlation(values, distances),
      "given the epoch": _given_time(values, distances),
      "floor": floor,
    }
    for name, values in signals.items()
  }


def _given_time(a: Sequence[float], b: Sequence[float]) -> float | None:
  """Return the partial rank correlation of two curves, time given.

  None where one stands still, or does nothing but rise or fall: then nothing
  is left to correlate.
  """
  left = _detrend(a), _detrend(b)
  if any(residual is None for residual in left):
    return None
  return float(left[0] @ left[1])


def _detrend(values: Sequence[float]) -> NDArray | None:
  """Return the residuals [T] of ranks on their number, of length 1."""
  left = scipy.signal.detrend(scipy.stats.rankdata(values))
  length = np.linalg.norm(left)
  return left / length if length > 1e-9 * len(left) else None


def _floor(
  signals: Sequence[Sequence[float]], distances: Sequence[float]
) -> float | None:
  """Return what the best of several signals without a link reaches by chance.

  It is a quantile, over random orders of blocks of the distance's residuals,
  of the largest |correlation given the epoch|. Blocks keep neighbours
  together, which are alike in a curve; the largest of all signals corrects
  for choosing the best.
  """
  left = [*map(_detrend, signals)]
  goal = _detrend(distances)
  left = [residual for residual in left if residual is not None]
  if goal is None or not left:
    return None
  count = len(goal)
  generator = np.random.default_rng(0)
  best = []
  for _ in range(ORDERS):
    turned = np.roll(np.arange(count), generator.integers(count))
    blocks = np.array_split(turned, round(math.sqrt(count)))
    order = generator.permutation(len(blocks))
    rows = np.concatenate([blocks[i] for i in order])
    best.append(np.abs(np.stack(left) @ goal[rows]).max())
  return float(np.quantile(best, CHANCE))


def is_loss(signal: str) -> bool:
  """Tell a loss, a player's or a held-out one, from the other signals."""
  return signal.rpartition("/")[2] in LOSSES


def _name_held_out(row: Mapping[str, Any]) -> dict[str, Any]:
  """Name an evaluation's metrics apart from those of training."""
  return {f"held-out/{name}": value for name, value in row.items()}


def correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
  """Return Spearman's rank correlation; None where one stands still."""
  ranks = [scipy.stats.rankdata(values) for values in (a, b)]
  if min(np.ptp(rank) for rank in ranks) == 0:
    return None
  return float(np.corrcoef(*ranks)[0, 1])


def stop(config: ConfigDict, tests: Rows) -> dict[str, Any]:
  """Replay a stop by the sliced distance on a run's evaluations.

  If the run had a rule of its own, this rule is used.

  Returns:
    by: the metric that the rule follows; of: the distance by which the outcome
    is judged, another one than `by` if two were measured; stops: the epoch of
    the stop, or None; keeps, ends: the epochs of the state that is kept and of
    the last one; kept, lowest, last: the distance in the state that is kept,
    its lowest and its last value. {} if no distance was measured.
  """
  goal = quality(tests)
  own = config.early_stop
  if goal is None:
    return {}
  watched = own.metric in (SLICED, FRECHET)
  by = own.metric if watched else SLICED if SLICED in tests[0] else goal
  goal = next((n for n in (FRECHET, SLICED) if n in tests[0] and n != by), goal)
  rule = own if watched else ConfigDict(RULE | {"metric": by})
  patience = Patience(rule)
  stops = None
  for row in tests:
    patience.see(row["step"], row)
    if patience.spent:
      stops = row["epoch"]
      break
  kept = next((r for r in tests if r["step"] == patience.step), tests[-1])
  return {
    "by": by,
    "of": goal,
    "stops": stops,
    "keeps": kept["epoch"],
    "ends": tests[-1]["epoch"],
    "kept": kept[goal],
    "lowest": min(row[goal] for row in tests),
    "last": tests[-1][goal],
  }


def plot(path: Path, runs: Mapping[Any, Mapping[str, Any]]) -> None:
  """Draw the players' losses of runs, and below them the distances.

  A dotted line is where a distance stops the run, a dashed one what it keeps.
  """
  figure = Figure(figsize=(3.4 * len(runs), 5.2), layout="constrained")
  axes = figure.subplots(2, len(runs), squeeze=False, sharex="col")
  for (losses, below), (cell, run) in zip(axes.T, runs.items(), strict=True):
    epochs = run["rows"]["epoch"]
    for name in (n for n in epochs[0] if n.endswith("/loss")):
      values = [(r["epoch"], r[name]) for r in epochs if name in r]
      losses.plot(*zip(*values, strict=True), label=name.partition("/")[0])
    losses.set(title=str(cell))
    losses.legend(fontsize="small")
    _distances(below, run["rows"]["test"])
    if found := run["stop"]:
      for place in (losses, below):
        place.axvline(found["keeps"], color="grey", linestyle="--")
        if found["stops"]:
          place.axvline(found["stops"], color="grey", linestyle=":")
    below.set(xlabel="epoch")
  axes[0, 0].set(ylabel="training loss")
  axes[1, 0].set(ylabel="sliced distance")
  images.save_figure(path, figure)


def caption(runs: Iterable[Mapping[str, Any]]) -> str:
  """Say what `plot` draws of runs: what they did not record is not there."""
  runs = list(runs)
  stops = [run["stop"] for run in runs if run["stop"]]
  tests = [row for run in runs for row in run["rows"]["test"]]
  parts = {
    "training losses of the players": True,
    "sliced distance (green)": any(SLICED in row for row in tests),
    "Fréchet distance (red)": any(FRECHET in row for row in tests),
    "the epoch that a stop by the distance keeps (dashed)": bool(stops),
    "where it stops (dotted)": any(stop["stops"] for stop in stops),
  }
  words = ", ".join(part for part, drawn in parts.items() if drawn)
  return f"{words[0].upper()}{words[1:]}."


def _distances(axes, tests: Rows) -> None:
  """Draw the sliced distance, and the Fréchet one by a scale on the right."""
  for name, colour in ((SLICED, "C2"), (FRECHET, "C3")):
    values = [(row["epoch"], row[name]) for row in tests if name in row]
    if values:
      place = axes if name == SLICED else axes.twinx()
      place.plot(*zip(*values, strict=True), color=colour)
      place.tick_params(axis="y", labelcolor=colour)


def split_rows(config: ConfigDict, rows: Rows) -> dict[str, Rows]:
  """Part the rows of metrics.jsonl: each epoch's, and each due evaluation's.

  A last evaluation that was not due is one that a longer run does not have.
  """
  every = config.evaluate_every_epochs
  return {
    "epoch": [row for row in rows if row["split"] == "epoch"],
    "test": [
      row
      for row in rows
      if row["split"] == "test" and round(row["epoch"]) % every == 0
    ],
  }
