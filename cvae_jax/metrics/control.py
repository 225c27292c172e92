"""Do samples show their conditions, as an independent judge reads them?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 200  # permutations for the floor of a correlation


def score_hits(requested: NDArray, probabilities: NDArray) -> dict[str, Any]:
  """Score samples of requested classes [N] by a judge's view [N, K].

  Returns:
    hit_rate: share read as the requested class; interval: its 95 % Wilson
    interval; per_class: [K], None where none was requested; confusion: [K][K],
    how many requests of a class were read as each one; floor: the share that
    permuted requests have on average.
  """
  read = probabilities.argmax(axis=-1)
  right = read == requested
  classes = range(probabilities.shape[-1])
  confusion = np.zeros((len(classes), len(classes)), np.int64)
  np.add.at(confusion, (requested, read), 1)
  return {
    "hit_rate": float(right.mean()),
    "interval": wilson(int(right.sum()), len(right)),
    "per_class": [_share(right[requested == k]) for k in classes],
    "confusion": confusion.tolist(),
    "floor": float(confusion.sum(0) @ confusion.sum(1)) / len(read) ** 2,
  }


def wilson(successes: int, trials: int, z: float = 1.96) -> list[float]:
  """Return the 95 % Wilson interval of a share."""
  share = successes / trials
  w = z**2 / trials
  centre = (share + w / 2) / (1 + w)
  half = z * np.sqrt(share * (1 - share) / trials + w / (4 * trials))
  half /= 1 + w
  return [float(centre - half), float(centre + half)]


def agreement(requested: NDArray, measured: NDArray) -> dict[str, float]:
  """Compare requested values [N] of a continuous condition with those read [N].

  The correlation is 0 where either is the same throughout.
  """
  requested, measured = (np.float64(x) for x in (requested, measured))
  centre = requested.mean()
  level = measured.mean()
  together = ((requested - centre) * (measured - level)).mean()
  spread = deviation(requested), deviation(measured)
  slope = together / spread[0] ** 2 if spread[0] else 0.0
  return {
    "correlation": float(together / np.prod(spread)) if all(spread) else 0.0,
    "mean_absolute_error": float(np.abs(requested - measured).mean()),
    "slope": float(slope),
    "offset": float(level - slope * centre),
  }


def deviation(values: NDArray) -> float:
  """Return the standard deviation of values [N], 0 exactly if all are equal.

  NumPy's is then above 0 by rounding, and a quotient by it means nothing.
  """
  return float(values.std()) if np.ptp(values) else 0.0


def chance(requested: NDArray, measured: NDArray, seed: int = 0) -> float:
  """Return the correlation that 95 % of permuted requests [N] stay below."""
  requested, measured = (np.float64(x) for x in (requested, measured))
  spread = deviation(requested) * deviation(measured)
  if not spread:
    return 0.0
  generator = np.random.default_rng(seed)
  level = measured - measured.mean()
  found = [
    abs((generator.permutation(requested) * level).mean()) / spread
    for _ in range(PERMUTATIONS)
  ]
  return float(np.quantile(found, 0.95))


def _share(right: NDArray) -> float | None:
  return float(right.mean()) if right.size else None
