"""Columns of a table: numbers, what is wrong with them, and words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.host.wording import shorten


def values(
  table: pd.DataFrame,
  names: Sequence[str],
  ranges: Sequence[tuple[float, float]] | None,
  where: object,
) -> np.ndarray:
  """Take columns [N, len(names)], float64, checked.

  Raises:
    DataError: naming `where`, the row (from 1), the file, the column and the
      value where it is no number or outside its range; or missing columns.
  """
  require(where, table, names)
  taken = np.empty((len(table), len(names)))
  limits = ranges or [(-np.inf, np.inf)] * len(names)
  for i, (name, (low, high)) in enumerate(zip(names, limits, strict=True)):
    column = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    bad = ~(np.isfinite(column) & (low <= column) & (column <= high))
    if bad.any():
      row = int(bad.argmax())
      raise DataError(
        f"{where}: row {row + 1} ({table['file'].iloc[row]}), column {name!r}:"
        f" found {table[name].iloc[row]}, expected a number"
        + (f" in [{low:g}, {high:g}]" if ranges else "")
        + _advise(column, low, high)
      )
    taken[:, i] = column
  return taken


def _advise(column: np.ndarray, low: float, high: float) -> str:
  """Say how a column of numbers above [0, 1] comes into it."""
  fits = np.isfinite(column).all() and column.min() >= 0
  if not fits or (low, high) != (0, 1):
    return ""
  return (
    f". Divide the column by {column.max():g} in the table: ranges check values"
    " and do not scale them"
  )


def require(where: object, table: pd.DataFrame, names: Sequence[str]) -> None:
  """Check that a table has columns.

  Raises:
    DataError: one is missing; those that there are, are named.
  """
  missing = [name for name in names if name not in table]
  if missing:
    raise DataError(
      f"{where}: no column {', '.join(map(repr, missing))}; it has"
      f" {describe(table)}. Prepare a table with them, or"
      " name others in config.data.names, .ranges and .conditions"
    )


def describe(table: pd.DataFrame) -> str:
  """Return the names of a table's first columns, for errors."""
  return shorten(table.columns, 12)


def list_words(column: pd.Series, kind: str) -> pd.Series:
  """Return the words of a column; those of a multilabel are joined by ;."""
  if kind != "multilabel":
    return column
  return column.str.split(";").explode().str.strip()
