"""Distances within a set of images: the root mean squared difference.

The distance from black to white is 1. If all pictures are equal it is 0.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 64  # images that are compared with as many others at once


def mean_distance(images: NDArray) -> float:
  """Return the mean distance over all pairs of images [N, ...].

  Args:
    images: float in [0, 1] or uint8; may be memory-mapped: two blocks of 64
      are in memory at once.

  Raises:
    ValueError: there are less than two.
  """
  count = len(images)
  if count < 2:
    raise ValueError(f"a distance needs two images or more; found {count}")
  starts = range(0, count, BLOCK)
  total = 0.0
  for i, j in itertools.combinations_with_replacement(starts, 2):
    distance = _distances(_block(images, i), _block(images, j))
    total += np.triu(distance, k=1).sum() if i == j else distance.sum()
  return float(total / (count * (count - 1) / 2))


def paired_distance(first: NDArray, second: NDArray) -> float:
  """Return the mean distance of first[i] and second[i], both [N, ...]."""
  total = 0.0
  for i in range(0, len(first), BLOCK):
    difference = _block(first, i) - _block(second, i)
    total += np.sqrt((difference**2).mean(axis=1)).sum()
  return float(total / len(first))


def compare(
  real: NDArray,
  reconstructed: NDArray,
  sampled: NDArray,
  sets: Sequence[NDArray],
) -> dict[str, float]:
  """Compare generated images' distances with those of real ones.

  Args:
    real: [N, ...].
    reconstructed: [N, ...], of the same.
    sampled: [N, ...], samples under the conditions of the same.
    sets: samples [M, ...], each set under one condition.

  Returns:
    Mean pairwise distances `real`, `reconstructed`, `sampled` and
    `one_condition` (the mean over the sets; `spread` is their standard
    deviation); all but the first as `<name>_ratio` to it; `error`, the mean
    distance of an image and its reconstruction.
  """
  within = [mean_distance(images) for images in sets]
  found = {
    "real": mean_distance(real),
    "reconstructed": mean_distance(reconstructed),
    "sampled": mean_distance(sampled),
    "one_condition": float(np.mean(within)),
  }
  ratios = {f"{k}_ratio": v / found["real"] for k, v in found.items()}
  del ratios["real_ratio"]
  return {
    **found,
    **ratios,
    "spread": float(np.std(within)),
    "error": paired_distance(real, reconstructed),
  }


def _block(images: NDArray, start: int) -> NDArray:
  """Return rows [B, D] in float64, clipped to the range of a picture."""
  block = np.asarray(images[start : start + BLOCK])
  scale = 255.0 if block.dtype == np.uint8 else 1.0
  flat = block.reshape(len(block), -1).astype(np.float64) / scale
  return flat.clip(0.0, 1.0)


def _distances(a: NDArray, b: NDArray) -> NDArray:
  """Return [A, B] for rows [A, D] and [B, D], by one matrix product.

  Rounding of the product can make the square of 0 negative.
  """
  squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None]
  squares = (squares - 2 * a @ b.T) / a.shape[1]
  return np.sqrt(squares.clip(min=0.0))
