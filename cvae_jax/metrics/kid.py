"""The kernel distance of two sets of features (Bińkowski et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096  # vectors whose kernel with as many others is in memory at once


def distance(a: NDArray, b: NDArray) -> float:
  """Return the unbiased MMD² of features [N, D] and [M, D].

  The kernel is (x·y / D + 1)³. Unlike that of a Fréchet distance, its mean
  does not depend on N and M. For two sets of one distribution the mean is 0,
  so single values may be negative. Name it by the network of the features; KID
  means Inception's.

  Raises:
    ValueError: a set has fewer than two vectors, or the widths differ.
  """
  if min(len(a), len(b)) < 2 or a.ndim != 2 or a.shape[1:] != b.shape[1:]:
    raise ValueError(
      "expected two sets [N, D] of two vectors or more and of one width; found "
      f"{a.shape} and {b.shape}"
    )
  a = np.asarray(a, np.float64)
  b = np.asarray(b, np.float64)
  within = (_mean_of_pairs(x) for x in (a, b))
  total = sum(_kernel(x, y).sum() for x in _blocks(a) for y in _blocks(b))
  return float(sum(within) - 2.0 * (total / (len(a) * len(b))))


def _blocks(rows: NDArray) -> list[NDArray]:
  return [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]


def _kernel(a: NDArray, b: NDArray) -> NDArray:
  return (a @ b.T / a.shape[1] + 1.0) ** 3


def _mean_of_pairs(x: NDArray) -> float:
  """Return the kernel's mean over pairs of different vectors."""
  total = 0.0
  for i, a in enumerate(_blocks(x)):
    for j, b in enumerate(_blocks(x)):
      kernel = _kernel(a, b)
      total += kernel.sum()
      if i == j:
        total -= np.trace(kernel)
  return total / (len(x) * (len(x) - 1))
