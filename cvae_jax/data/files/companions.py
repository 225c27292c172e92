"""Labelled companions: how a few labels travel with many unlabelled rows."""

from collections.abc import Mapping

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files.digit_files import CLASSES


def draw(
  columns: Mapping[str, np.ndarray], count: int, seed: int
) -> dict[str, np.ndarray]:
  """Draw `count` labelled rows and give every row one of them in turn.

  Args:
    columns: label [N] in 0..9, condition [N, A] and labelled_image [N, …].
    count: a multiple of 10, the same of each class; 0 hides all labels.
    seed: of the draw and of who accompanies whom.

  Returns:
    The columns that change, with the values of the companions. Each of these
    serves equally many rows, give or take one. If all labels are hidden, they
    are −1.

  Raises:
    DataError: if `count` cannot be drawn evenly.
  """
  label = columns["label"]
  rows = len(columns["label"])
  if not count:
    hidden = np.zeros_like(columns["condition"])
    return {"label": np.full(rows, -1, np.int32), "condition": hidden}
  each = count // CLASSES
  fewest = np.bincount(label, minlength=CLASSES).min()
  if count % CLASSES or each > fewest:
    raise DataError(
      f"labels={count}: expected a multiple of {CLASSES}, at most"
      f" {fewest * CLASSES} ({fewest} of the rarest class); with 0 no digit has"
      " a label, with -1 each one"
    )
  generator = np.random.default_rng(seed)
  drawn = np.concatenate(
    [
      generator.choice(np.flatnonzero(label == k), each, replace=False)
      for k in range(CLASSES)
    ]
  )
  companion = generator.permutation(np.resize(drawn, rows))
  names = ("labelled_image", "label", "condition")
  return {name: columns[name][companion] for name in names}
