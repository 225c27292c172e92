"""Do samples obey their conditions? Asked of an independent judge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hits(
  requested: NDArray, probabilities: NDArray, seed: int = 0
) -> dict[str, Any]:
  """Scores samples of requested classes [N] by a judge's view [N, K].

  Returns:
    hit_rate: share read as the requested class; interval: its 95 % Wilson
    interval; per_class: [K]; floor: the share with the labels permuted.
  """
  read = probabilities.argmax(axis=-1)
  right = read == requested
  permuted = np.random.default_rng(seed).permutation(requested)
  classes = range(probabilities.shape[-1])
  return {
    "hit_rate": float(right.mean()),
    "interval": wilson(int(right.sum()), len(right)),
    "per_class": [float(right[requested == k].mean()) for k in classes],
    "floor": float((read == permuted).mean()),
  }


def wilson(successes: int, trials: int, z: float = 1.96) -> list[float]:
  """Gives the 95 % Wilson interval of a share."""
  share, w = successes / trials, z**2 / trials
  centre = (share + w / 2) / (1 + w)
  half = z * np.sqrt(share * (1 - share) / trials + w / (4 * trials))
  half /= 1 + w
  return [float(centre - half), float(centre + half)]


def agreement(requested: NDArray, measured: NDArray) -> dict[str, float]:
  """Compares a continuous condition asked for [N] with what came out [N]."""
  slope, offset = np.polyfit(requested, measured, 1)
  return {
    "correlation": float(np.corrcoef(requested, measured)[0, 1]),
    "mean_absolute_error": float(np.abs(requested - measured).mean()),
    "slope": float(slope),
    "offset": float(offset),
  }
