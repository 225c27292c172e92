"""Figures of merit for the control of an attribute, one for each kind.

What was asked for and what a judge has read are entries of condition vectors,
[N, K]. A judge gives probabilities in place of 0 and 1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.metrics import control

# An attribute counts as ignored if its figure has come less than this share of
# the way from chance to certainty. A correlation counts as ignored if it is
# below this number, or below that of permuted requests.
IGNORED = 0.1


def score(
  attribute: Any, asked: NDArray, read: NDArray, seed: int = 0
) -> dict[str, Any]:
  """Score what a judge read [N, K] against what was asked for [N, K].

  Args:
    attribute: says by which figure, and decodes entries to values.
    asked: the entries that were asked for.
    read: the judge's reading of what came out.
    seed: of the permutations that give the floor.

  Returns:
    The figure under its name, further figures of the same kind, `floor`, which
    is the figure of chance, and `samples`, N.
  """
  found = FIGURES[attribute.figure](attribute, asked, read, seed)
  return found | {"samples": len(asked)}


def hit_rate(attribute: Any, asked, read, seed: int) -> dict[str, Any]:
  """Return the share read as asked for; see `control.score_hits`.

  Of levels that have no entry each, as those of a user's own kind may, the one
  counts that a reading is decoded to.
  """
  if asked.shape[1] == 1:
    wanted = (asked[:, 0] >= 0.5).astype(int)
    return control.score_hits(wanted, np.concatenate([1 - read, read], axis=1))
  if attribute.levels and asked.shape[1] != len(attribute.levels):
    wanted, found = (
      np.array(attribute.ranks(attribute.decode(entries)), int)
      for entries in (asked, read)
    )
    return control.score_hits(wanted, np.eye(len(attribute.levels))[found])
  return control.score_hits(asked.argmax(axis=-1), read)


def mean_average_precision(attribute: Any, asked, read, seed: int):
  """Return the mean over labels of the average precision.

  Labels of all rows, or of none, are left out. The floor is the labels' share
  of the rows.
  """
  from sklearn.metrics import average_precision_score

  wanted = asked >= 0.5
  share = wanted.mean(axis=0)
  scored = [k for k, p in enumerate(share) if 0 < p < 1]
  each = {
    attribute.levels[k]: float(
      average_precision_score(wanted[:, k], read[:, k])
    )
    for k in scored
  }
  return {
    "mean_average_precision": float(np.mean([*each.values()])) if each else 0.0,
    "per_label": each,
    "right": float((wanted == (read >= 0.5)).mean()),
    "floor": float(share[scored].mean()) if scored else 0.0,
  }


def rank_correlation(attribute: Any, asked, read, seed: int):
  """Return Spearman's correlation of the ranks, and the share read exactly.

  A judge's rank is the sum of its probabilities to be above each level.
  """
  wanted = asked.sum(axis=1)
  found = read.sum(axis=1)
  exact = np.array(attribute.decode(asked)) == attribute.decode(read)
  fit = control.agreement(wanted, found)
  ranks = _ranks(wanted), _ranks(found)
  return {
    "rank_correlation": control.agreement(*ranks)["correlation"],
    "right": float(exact.mean()),
    "slope": fit["slope"],
    "mean_absolute_error": fit["mean_absolute_error"],
    "floor": control.chance(*ranks, seed),
  }


def r_squared(attribute: Any, asked, read, seed: int) -> dict[str, Any]:
  """Compare numbers: R², correlation, slope and mean error.

  Where ratios count, they are of the natural logarithms.
  """
  wanted = attribute.measures(asked)
  found = attribute.measures(read)
  spread = control.deviation(wanted) ** 2
  left = ((wanted - found) ** 2).mean()
  return control.agreement(wanted, found) | {
    "r_squared": float(1 - left / spread) if spread else 0.0,
    "floor": control.chance(wanted, found, seed),
  }


def circular_error(attribute: Any, asked, read, seed: int) -> dict[str, Any]:
  """Return the mean distance on the circle, in the angle's own unit.

  `r_squared` is computed from points on the unit circle. The floor is the mean
  distance of permuted requests.
  """
  wanted = np.array(attribute.decode(asked))
  found = np.array(attribute.decode(read))
  length = np.linalg.norm(read, axis=1, keepdims=True)
  unit = read / np.maximum(length, 1e-9)
  spread = sum(control.deviation(entry) ** 2 for entry in asked.T)
  left = ((asked - unit) ** 2).sum(axis=1).mean()
  shuffled = np.random.default_rng(seed)
  floor = [
    _apart(shuffled.permutation(wanted), found, attribute.period).mean()
    for _ in range(control.PERMUTATIONS)
  ]
  return {
    "circular_error": float(_apart(wanted, found, attribute.period).mean()),
    "r_squared": float(1 - left / spread) if spread else 0.0,
    "floor": float(np.mean(floor)),
  }


FIGURES: Mapping[str, Callable[..., dict[str, Any]]] = {
  "hit_rate": hit_rate,
  "mean_average_precision": mean_average_precision,
  "rank_correlation": rank_correlation,
  "r_squared": r_squared,
  "circular_error": circular_error,
}


def describe_ignored(
  name: str, figures: Mapping[str, Any], least: float = IGNORED
) -> str:
  """Say that figures are hardly better than chance; "" if they are better.

  Args:
    name: the attribute's.
    figures: what `score` returned.
    least: how far from chance to certainty they have to come; see IGNORED.
  """
  floor = figures["floor"]
  if "hit_rate" in figures:
    share = figures["hit_rate"]
    if share - floor < least * (1 - floor):
      return (
        f"{share:.1%} of samples show the requested {name}, permuted requests "
        f"give {floor:.1%}"
      )
  elif "mean_average_precision" in figures:
    share = figures["mean_average_precision"]
    if share - floor < least * (1 - floor):
      return (
        f"the requested {name} are read with a mean average precision of "
        f"{share:.1%}, chance gives {floor:.1%}"
      )
  elif "circular_error" in figures:
    error = figures["circular_error"]
    if error > (1 - least) * floor:
      return (
        f"requested and measured {name} lie {error:.3g} apart, permuted "
        f"requests {floor:.3g}"
      )
  else:
    key = "rank_correlation" if "rank_correlation" in figures else "correlation"
    if figures[key] < max(least, floor):
      return f"requested and measured {name} correlate by {figures[key]:.2f}"
  return ""


def text(figures: Mapping[str, Any]) -> str:
  """Lay figures out as the rest of a line."""
  if "hit_rate" in figures:
    low, high = figures["interval"]
    share = f"{figures['hit_rate']:10.2%}  [{low:.2%}, {high:.2%}]"
    return f"{share}, n = {figures['samples']}"
  if "mean_average_precision" in figures:
    return (
      f"{figures['mean_average_precision']:10.2%}  mean average precision, "
      f"{figures['right']:.2%} of labels right"
    )
  if "circular_error" in figures:
    return (
      f"{figures['circular_error']:10.4f}  mean circular error, R² "
      f"{figures['r_squared']:.4f}"
    )
  if "rank_correlation" in figures:
    return (
      f"{figures['rank_correlation']:10.4f}  of ranks, slope "
      f"{figures['slope']:.4f}, {figures['right']:.2%} exactly right"
    )
  line = (
    f"{figures['correlation']:10.4f}  slope {figures['slope']:.4f}, mean "
    f"absolute error {figures['mean_absolute_error']:.4f}"
  )
  if "r_squared" not in figures:  # scores of older releases
    return line
  return f"{line}, R² {figures['r_squared']:.4f}"


def change(attribute: Any, low: NDArray, high: NDArray) -> float:
  """Return by how much readings [N, K] differ between two requests.

  Where the first entry says all (`is_line`), it is the mean change of that one,
  with its sign. Else it is half the sum of the absolute changes, on average:
  the share of a class that has moved.
  """
  if is_line(attribute, low):
    return float((high - low)[:, 0].mean())
  return float(0.5 * np.abs(high - low).sum(axis=1).mean())


def is_line(attribute: Any, entries: NDArray) -> bool:
  """Tell whether the first of entries [N, K] says all: of two levels, or alone.

  An ordinal of three levels, two labels and an angle have two entries, too.
  """
  size = entries.shape[1]
  return size == 1 or (size == 2 and attribute.kind == "class")


def _apart(a: NDArray, b: NDArray, period: float) -> NDArray:
  """Return the distances [N] of angles on the circle."""
  return np.abs((a - b + period / 2) % period - period / 2)


def _ranks(values: NDArray) -> NDArray:
  """Return the mean ranks [N] of values, ties sharing theirs."""
  from scipy.stats import rankdata

  return rankdata(values)
