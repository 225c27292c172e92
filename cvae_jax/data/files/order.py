"""Warn about unfair splits: rows that are sorted, or people in both parts."""

import numpy as np
import pandas as pd

from cvae_jax.host.wording import shorten

_FEW = 20  # rows, of which any order may be chance
_APART = 0.5  # standard deviations of a column between the splits' means
_ERRORS = 5.0  # standard errors of that distance


def warn(
  table: pd.DataFrame,
  train: np.ndarray,
  held_out: np.ndarray,
  where: object,
) -> None:
  """Print a line for each way in which the splits are not of one population.

  Args:
    table: all rows, `file` first.
    train: rows that train.
    held_out: the others; none is no split.
    where: names the table.
  """
  if len(train) < _FEW or not len(held_out):
    return
  first = table.iloc[train]
  last = table.iloc[held_out]
  if found := [name for name in _numbers(table) if _parts(first, last, name)]:
    print(
      f"warning: {where}: training and held-out rows differ in"
      f" {shorten(found)}: rows are sorted by it. Prepare the set again"
      " with --order=hash"
    )
  folders = _folders(last)
  known = set(_folders(first))
  if new := sorted(set(folders) - known):
    print(
      f"warning: {where}: all of folder {new[0]} is held out, none of it"
      " trains. Prepare the set again with --order=hash"
    )
  if "person" in table:
    seen = last["person"].isin(set(first["person"])).sum()
    if seen:
      print(
        f"warning: {where}: {seen:,} of {len(last):,} held-out rows show a"
        " person that trains, too; --config.data.split_column=person keeps"
        " them apart"
      )


def _numbers(table: pd.DataFrame) -> list[str]:
  numbers = table.select_dtypes("number").columns
  return [str(name) for name in numbers if name != "person"]


def _parts(first: pd.DataFrame, last: pd.DataFrame, name: str) -> bool:
  """Tell whether a column's means differ by more than chance would explain."""
  a, b = (rows[name].to_numpy(np.float64) for rows in (first, last))
  both = np.concatenate([a, b])
  spread = both.std()
  apart = abs(a.mean() - b.mean())
  error = spread * np.sqrt(1 / len(a) + 1 / len(b))
  steps = np.diff(both)
  sorted_all = spread > 0 and ((steps >= 0).all() or (steps <= 0).all())
  return bool(sorted_all or apart > max(_APART * spread, _ERRORS * error))


def _folders(table: pd.DataFrame) -> list[str]:
  return [name.rpartition("/")[0] for name in table["file"]]
