"""Which rows of arrays train, and which are held out."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import blank, format_level
from cvae_jax.data.files import array_columns, splits


def shuffle(
  count: int, held_out: float, seed: int, groups: npt.ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Return the numbers of the rows that train and of those held out.

  Args:
    count: of the rows.
    held_out: their share.
    seed: another draws other rows.
    groups: [count], rows of equal ones stay together; None: each row alone.

  Raises:
    DataError: the share is none, or groups are too few, or do not fit.
  """
  if not 0.0 <= held_out < 1.0:
    raise DataError(f"held_out is from 0 to below 1; found {held_out}")
  order = np.random.default_rng(seed).permutation(count)
  if groups is None:
    train, test = np.split(order, [count - round(held_out * count)])
    return train, test
  away = _hold_out(groups, count, held_out, seed)[order]
  return order[~away], order[away]


def _hold_out(
  groups: npt.ArrayLike, count: int, held_out: float, seed: int
) -> np.ndarray:
  """Tell of each row whether its group is held out."""
  values = array_columns.read("groups", groups)
  if len(values) != count:
    raise DataError(f"groups has {len(values)} rows, images {count}")
  values = values.tolist()
  if unknown := [row for row, value in enumerate(values) if blank(value)]:
    raise DataError(
      f"groups: row {unknown[0]} has none; give a row that is alone a group of "
      "its own"
    )
  column = pd.Series(list(map(format_level, values)), name="groups")
  ratio = (1.0 - held_out, 0.0, held_out)
  split = splits.assign_groups(column, ratio, np.random.default_rng(seed))
  away = split == "test"
  if held_out and (away.all() or not away.any()):
    raise DataError(
      f"{column.nunique()} groups are too few to hold out {held_out:g} of the "
      "rows and train on the others: bring more, or held_out=0"
    )
  return away
