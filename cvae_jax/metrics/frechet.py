"""The Fréchet distance of two sets of features, taken as Gaussians."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray


class Moments(NamedTuple):
  """Mean and covariance of N feature vectors, in float64."""

  count: int
  mean: NDArray  # [D]
  covariance: NDArray  # [D, D], divided by N − 1


def moments(batches: Iterable[NDArray]) -> Moments:
  """Return the moments of features [N, D] that come in batches [B, D].

  Only sums are kept in memory, by Chan et al.'s pairwise update. It stays exact
  if the mean is large.

  Raises:
    ValueError: there are fewer than two vectors.
  """
  count = 0
  mean = 0.0
  scatter = 0.0
  for batch in batches:
    batch = np.asarray(batch, np.float64)
    shift = batch.mean(axis=0) - mean
    whole = count + len(batch)
    centred = batch - batch.mean(axis=0)
    between = np.outer(shift, shift) * (count * len(batch) / whole)
    scatter = scatter + centred.T @ centred + between
    mean = mean + shift * (len(batch) / whole)
    count = whole
  if count < 2:
    raise ValueError(f"moments need at least two vectors, found {count}")
  return Moments(count, mean, scatter / (count - 1))


def distance(a: Moments, b: Moments) -> float:
  """Return |μ − μ'|² + tr(C + C' − 2 (C C')^½), Dowson and Landau 1982.

  Name it by the network of the features; FID means Inception's. The trace of
  the root is the sum of the roots of the eigenvalues of C^½ C' C^½. They are
  real and ≥ 0, also if the covariances are singular.
  """
  values, vectors = scipy.linalg.eigh(a.covariance)
  root = vectors * np.sqrt(values.clip(min=0.0)) @ vectors.T
  inner = scipy.linalg.eigvalsh(root @ b.covariance @ root)
  overlap = np.sqrt(inner.clip(min=0.0)).sum()
  spread = np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * overlap
  return float(((a.mean - b.mean) ** 2).sum() + max(spread, 0.0))
