"""Compare a model's categories with the true classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def purity(category: NDArray, label: NDArray) -> dict[str, Any]:
  """Compare categories [N] with labels [N], both whole numbers from 0 on.

  Returns:
    purity: the share of examples whose label is the commonest one in their
    category, from the commonest label's share (one category) to 1; used: how
    many categories hold an example.
  """
  counts = np.zeros((category.max() + 1, label.max() + 1), np.int64)
  np.add.at(counts, (category, label), 1)
  return {
    "purity": float(counts.max(axis=1).sum() / len(label)),
    "used": int(counts.any(axis=1).sum()),
  }


def row_entropy(counts: NDArray) -> float:
  """Say how mixed the samples of one category are, in nats.

  Args:
    counts: [R, K], how many samples of category r a judge reads as class k.

  Returns:
    The mean over the categories of the entropy of what is read: 0 where each
    draws one class alone, log K where each draws all alike.

  Raises:
    ValueError: a category has no sample.
  """
  counts = np.asarray(counts, np.float64)
  total = counts.sum(axis=1, keepdims=True)
  if not total.all():
    raise ValueError(f"each category needs a sample; found {total.ravel()}")
  share = counts / total
  logs = np.log(share, out=np.zeros_like(share), where=share > 0)
  return float(-(share * logs).sum(axis=1).mean())
