"""Precision and recall of samples (Kynkäänniemi et al. 2019); repetitions."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1000  # rows whose distances are in memory at once
ROUNDING = 1e-13  # of two squares, what their difference may be by rounding


def precision_recall(
  real: NDArray, samples: NDArray, neighbours: int = 3
) -> dict[str, float]:
  """Score samples [M, D] beside real features [N, D].

  A set's manifold is a union of balls around its points. Each ball reaches to
  the point's k-th neighbour in the set.

  Returns:
    precision: the share of samples in the real manifold (quality);
    recall: the share of real points in the samples' manifold (variety).

  Raises:
    ValueError: a set has no k-th neighbour, or the widths differ.
  """
  if min(len(real), len(samples)) <= neighbours or real.ndim != 2:
    raise ValueError(
      f"expected two sets [N, D] of more than {neighbours} rows; found "
      f"{real.shape} and {samples.shape}"
    )
  if real.shape[1] != samples.shape[1]:
    raise ValueError(f"features differ: {real.shape} and {samples.shape}")
  return {
    "precision": _coverage(samples, real, neighbours),
    "recall": _coverage(real, samples, neighbours),
  }


def near_duplicates(
  real: NDArray, samples: NDArray, quantile: float = 0.01
) -> float:
  """Return the share of samples [N, D] that another sample nearly repeats.

  Near is a distance below the given quantile of the distances of real points
  [N, D] to their nearest neighbour. For the real points the share would be
  `quantile` itself.

  Raises:
    ValueError: the sets differ in size (neighbours are nearer in a larger
      one) or have one point.
  """
  if real.shape != samples.shape or real.ndim != 2 or len(real) < 2:
    raise ValueError(
      f"expected two sets [N, D] of one shape, N from 2 on; found "
      f"{real.shape} and {samples.shape}"
    )
  near = np.quantile(np.sqrt(_squared_radii(real, 1)), quantile)
  return float((np.sqrt(_squared_radii(samples, 1)) <= near).mean())


def near_duplicates_interval(
  real: NDArray,
  samples: NDArray,
  quantile: float = 0.01,
  level: float = 0.95,
  draws: int = 1000,
) -> list[float]:
  """Return a bootstrap interval [low, high] of `near_duplicates`.

  The distances to the nearest neighbour are resampled, in both sets: those of
  real points decide what is near, and only few lie below the quantile.

  Raises:
    ValueError: as near_duplicates.
  """
  near_duplicates(real, samples, quantile)  # checks
  known, found = (
    np.sqrt(_squared_radii(points, 1)) for points in (real, samples)
  )
  rng = np.random.default_rng(0)
  count = len(known)
  shares = []
  for _ in range(draws):
    near = np.quantile(known[rng.integers(count, size=count)], quantile)
    shares.append((found[rng.integers(count, size=count)] <= near).mean())
  outside = (1 - level) / 2
  return [float(q) for q in np.quantile(shares, [outside, 1 - outside])]


def _coverage(points: NDArray, centres: NDArray, neighbours: int) -> float:
  """Return the share of points within some centre's ball."""
  radius = _squared_radii(centres, neighbours)
  inside = [
    (_squared_distances(block, centres) <= radius).any(axis=1)
    for block in _blocks(points)
  ]
  return float(np.concatenate(inside).mean())


def _squared_radii(centres: NDArray, neighbours: int) -> NDArray:
  """Return each centre's squared distance to its k-th neighbour: [N]."""
  return np.concatenate(
    [
      # The nearest is the point itself.
      np.partition(_squared_distances(block, centres), neighbours, axis=1)[
        :, neighbours
      ]
      for block in _blocks(centres)
    ]
  )


def _blocks(rows: NDArray) -> list[NDArray]:
  return [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]


def _squared_distances(a: NDArray, b: NDArray) -> NDArray:
  """Return squared distances [len(a), len(b)], in float64: they cancel.

  What rounding leaves of the distance of equal rows is 0.
  """
  a = np.asarray(a, np.float64)
  b = np.asarray(b, np.float64)
  squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None]
  found = squares - 2.0 * a @ b.T
  return np.where(found < ROUNDING * squares, 0.0, found)
