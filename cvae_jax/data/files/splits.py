"""Which rows train, validate and test: drawn, by a column, or by groups."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cvae_jax.data import DataError
from cvae_jax.data.files.columns import list_words
from cvae_jax.host.wording import shorten

SPLIT = "split"
NAMES = ("train", "valid", "test")
Rows = slice | np.ndarray
RATIO = (0.8, 0.1, 0.1)
_WORDS = {
  **dict.fromkeys(("train", "training", "0"), "train"),
  **dict.fromkeys(("valid", "val", "validation", "dev", "1"), "valid"),
  **dict.fromkeys(("test", "testing", "t10k", "eval", "2"), "test"),
}


def canonical(word: str) -> str:
  """Return train, valid or test for a word that means it, else ""."""
  return _WORDS.get(word.strip().lower(), "") if not word.isdigit() else ""


def from_column(column: pd.Series) -> pd.Series:
  """Return the split of each row by a column's words.

  Raises:
    DataError: if a word means no split.
  """
  found = column.str.strip().str.lower().map(_WORDS)
  if found.isna().any():
    bad = column[found.isna()].iloc[0]
    raise DataError(
      f"--split={column.name}: found {bad!r}; expected train, valid (val, "
      "validation) or test, or 0, 1, 2"
    )
  return found


def parse_ratio(text: str) -> tuple[float, float, float] | None:
  """Parse "0.8,0.1,0.1" or "80,10,10"; None if it is no list of numbers.

  Raises:
    DataError: if the three are no shares, or none is left to train.
  """
  if not re.fullmatch(r"[\d.]+(,[\d.]+)+", text):
    return None
  parts = [float(p) if p.count(".") < 2 else -1.0 for p in text.split(",")]
  if min(parts) < 0 or len(parts) != 3 or parts[0] <= 0 or sum(parts) <= 0:
    raise DataError(
      f"--split={text}: expected the shares of train, valid and test, as in "
      "80,10,10"
    )
  return tuple(part / sum(parts) for part in parts)


def draw(
  table: pd.DataFrame,
  ratio: Sequence[float],
  seed: int,
  strata: Sequence[str],
  group: str = "",
) -> np.ndarray:
  """Draw the split of each row [N], str.

  Rows of equal values in the columns `strata` are spread evenly over the
  splits. If no row of a value would train, one of its held-out rows does.
  With `group` the rows of one value in that column stay together instead.

  Args:
    table: text.
    ratio: the shares of train, valid and test.
    seed: another draws other rows.
    strata: columns, the most important first.
    group: a column, "" for none.

  Raises:
    DataError: if there are too few rows or groups for the shares.
  """
  generator = np.random.default_rng(seed)
  if group:
    _check_known(table[group])
    found = assign_groups(table[group], ratio, generator)
  else:
    found = _spread(table, ratio, generator, strata)
  for name, share in zip(NAMES, ratio, strict=True):
    if share and not (found == name).any():
      what = f"groups of {group!r}" if group else "rows"
      raise DataError(
        f"too few {what} ({len(table)} rows) for the shares "
        f"{', '.join(f'{part:g}' for part in ratio)}: none is left for {name}; "
        "bring more, or give --split other shares (0 for none)"
      )
  return found


def _spread(table, ratio, generator, strata) -> np.ndarray:
  """Take every n-th row in the order of the strata, shuffled within them."""
  rows = len(table)
  order = generator.permutation(rows)
  for name in reversed(list(strata)):
    codes = pd.factorize(table[name])[0][order]
    order = order[np.argsort(codes, kind="stable")]
  # One cumulative share after the other: each split has its rows evenly.
  at = np.arange(rows + 1) + generator.random()
  found = np.full(rows, "train", object)
  for name, share in (("test", ratio[2]), ("valid", ratio[1])):
    left = order[found[order] == "train"]
    share = share / (1 - ratio[2]) if name == "valid" else share
    steps = np.floor(at[: len(left) + 1] * share)
    found[left[np.diff(steps) > 0]] = name
  _add_missing(table, strata, found)
  return found.astype(str)


def _add_missing(table, strata, found: np.ndarray) -> None:
  """Let a row of each value train."""
  for name in strata:
    values = table[name].to_numpy()
    for value in set(values) - set(values[found == "train"]):
      found[np.flatnonzero(values == value)[0]] = "train"


def assign_groups(
  column: pd.Series, ratio: Sequence[float], generator: np.random.Generator
) -> np.ndarray:
  """Give whole groups to the split that lacks most of its share.

  Args:
    column: the group of each row [N], text.
    ratio: the shares of train, valid and test.
    generator: draws the order of the groups.

  Returns:
    The split of each row [N], str.
  """
  sizes = column.value_counts(sort=False)
  wanted = {
    name: share * len(column)
    for name, share in zip(NAMES, ratio, strict=True)
    if share
  }
  have = dict.fromkeys(wanted, 0)
  chosen = {}
  for group in generator.permutation(sizes.index.to_numpy()):
    name = max(wanted, key=lambda n: (wanted[n] - have[n]) / wanted[n])
    chosen[group] = name
    have[name] += int(sizes[group])
  return column.map(chosen).to_numpy(str)


def _check_known(column: pd.Series) -> None:
  """Check that each row has a group."""
  if (column == "").any():
    row = int((column == "").to_numpy().argmax()) + 1
    raise DataError(f"--group={column.name}: row {row} has no value")


def check_groups(column: pd.Series, found: np.ndarray, said: str) -> None:
  """Check that the rows of each group are in one split.

  Args:
    column: the group of each row.
    found: the split of each row [N].
    said: the column that says the splits.

  Raises:
    DataError: naming the first group with rows in two, or a row without one.
  """
  _check_known(column)
  first = pd.Series(found, column.index).groupby(column).transform("first")
  apart = (first != found).to_numpy()
  if apart.any():
    row = int(apart.argmax())
    group = column.iloc[row]
    raise DataError(
      f"--group={column.name}: {group} has rows in {first.iloc[row]} and in "
      f"{found[row]}, as {said!r} says; expected all of a group in one split: "
      "correct that, or draw the splits with --split=80,10,10"
    )


def check(
  table: pd.DataFrame, found: np.ndarray, entries: Sequence[dict[str, Any]]
) -> list[str]:
  """Check that all levels train; return warnings of held-out rows.

  Args:
    table: text.
    found: the split of each row [N].
    entries: of the schema.

  Raises:
    DataError: if no row trains, or a level has no training row.
  """
  train = found == "train"
  if not train.any():
    raise DataError("no row trains; give --split other shares")
  warnings = []
  for entry in entries:
    name = entry["name"]
    for split in NAMES:
      rows = table[name][found == split]
      if not len(rows):
        continue
      words = set(list_words(rows, entry["kind"]))
      lacking = [k for k in entry.get("levels", ()) if k not in words]
      if not lacking:
        continue
      if split == "train":
        raise DataError(
          f"{name}: {shorten(lacking)} has no training row; split otherwise "
          "(--split, --group), or take the level out of the table"
        )
      warnings.append(f"warning: {name}: no {split} row has {shorten(lacking)}")
  return warnings


def select(chosen: ArrayLike) -> Rows:
  """Return the numbers of the chosen rows, [N] of bool.

  They are a slice if the rows lie together: indexing an array by a slice makes
  a view, and no copy.
  """
  rows = np.flatnonzero(np.asarray(chosen))
  if rows.size and rows[-1] - rows[0] + 1 == rows.size:
    return slice(int(rows[0]), int(rows[-1]) + 1)
  return rows
