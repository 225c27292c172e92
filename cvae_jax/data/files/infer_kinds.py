"""The kinds of conditions that a table's columns look like."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.conditions import kinds
from cvae_jax.data.conditions.angle import Angle, infer_period
from cvae_jax.data.conditions.log import Log, check_above_0
from cvae_jax.data.conditions.number import Number
from cvae_jax.data.files import tables
from cvae_jax.data.files.columns import describe, list_words
from cvae_jax.host import commands

IGNORE = "ignore"
_PAIRS = (
  ("0", "1"),
  ("-1", "1"),
  ("0.0", "1.0"),  # as pandas writes 0 and 1 of a column with empty cells
  ("-1.0", "1.0"),
  ("no", "yes"),
  ("n", "y"),
  ("false", "true"),
  ("f", "t"),
)
_CLASS = re.compile(r"class|label|category|target|species|type", re.IGNORECASE)
_ANGLE = re.compile(
  r"angle|rotation|orientation|heading|azimuth|yaw|hue|direction", re.IGNORECASE
)
_FEW = 20  # whole numbers, up to which they are names of classes
_MANY = 5  # rows that a class has on average, or its words are no classes
Entry = dict[str, Any]


def infer(
  table: pd.DataFrame,
  train: np.ndarray,
  asked: Mapping[str, Entry],
  stated: Mapping[str, Entry],
) -> tuple[list[Entry], dict[str, str]]:
  """Choose the kind of each column, and its levels or range.

  Args:
    table: text, a column an attribute.
    train: which rows train [N], bool: a number's range is of these.
    asked: name → entry, as the user wants it.
    stated: name → entry, as the files themselves say.

  Returns:
    The entries, and name → why a column is left out.

  Raises:
    DataError: if values do not fit the kind that is asked for.
  """
  if unknown := [name for name in asked if name not in table]:
    raise DataError(
      f"--kind: no column {unknown[0]!r}; there is {describe(table)}"
    )
  entries = []
  left_out = {}
  for name in table:
    entry = asked.get(name) or stated.get(name)
    column = table[name]
    if entry is None:
      entry = _guess(name, column)
    if isinstance(entry, str):
      left_out[name] = entry
    elif entry["kind"] == IGNORE:
      left_out[name] = "as asked"
    else:
      entries.append(_complete(dict(entry), column, train))
  return entries, left_out


def _guess(name: str, column: pd.Series) -> Entry | str:
  """Return the entry of a column, or why it can be none."""
  given = column[column != ""]
  levels = given.unique()
  if not len(levels):
    return "no value"
  if len(levels) == 1:
    return f"all rows have {levels[0]}"
  if _pair(levels):
    return {"name": name, "kind": "binary"}
  numbers = tables.to_numbers(column)
  if numbers is not None:
    if _ANGLE.search(name) and numbers.abs().max() > 1.0:
      return {"name": name, "kind": "angle"}
    whole = given.str.fullmatch(r"[-+]?\d+").all()
    if whole and len(levels) == len(given) and _counts(numbers):
      return "counts the rows"
    few = len(levels) <= _FEW and len(given) >= _MANY * len(levels)
    if whole and (few or _is_class(name, given, levels)):
      return {"name": name, "kind": "class"}
    return {"name": name, "kind": "number"}
  _check_numbers(name, given)
  if given.str.contains(";", regex=False).any():
    return {"name": name, "kind": "multilabel"}
  if len(levels) > _FEW and len(given) < _MANY * len(levels):
    return f"{len(levels):,} different words in {len(given):,} rows"
  return {"name": name, "kind": "class"}


def _check_numbers(name: str, given: pd.Series) -> None:
  """Check that a column of words is not one of numbers with a few mistakes.

  Numbers with a fraction, or more of them than classes have, are no names.

  Raises:
    DataError: most of its values are such numbers, and one is none.
  """
  numbers = pd.to_numeric(given, errors="coerce").astype(float)
  sound = numbers[np.isfinite(numbers)]
  fractions = (sound % 1 != 0).any()
  if len(sound) > len(given) / 2 and (fractions or sound.nunique() > _FEW):
    bad = given[~np.isfinite(numbers)]
    raise DataError(
      f"{name}: row {bad.index[0] + 1} has {bad.iloc[0]!r} among numbers; "
      "correct it, or leave the cell empty if the value is unknown. If all "
      f"are names: {commands.format_kind(name, 'class')}"
    )


def _is_class(name: str, given: pd.Series, levels: Sequence[str]) -> bool:
  return bool(_CLASS.search(name)) and len(given) >= _MANY * len(levels)


def _counts(numbers: pd.Series) -> bool:
  """Tell whether whole numbers are those of consecutive rows."""
  return numbers.max() - numbers.min() == len(numbers) - 1


def _pair(levels: Sequence[str]) -> list[str]:
  """Return two levels, no before yes, if they are a known pair."""
  by_word = {str(level).lower(): str(level) for level in levels}
  for pair in _PAIRS:
    if by_word.keys() == set(pair):
      return [by_word[word] for word in pair]
  return []


def _complete(entry: Entry, column: pd.Series, train: np.ndarray) -> Entry:
  """Give an entry the levels, range or period that it lacks.

  Raises:
    DataError: if the column's values are of another kind.
  """
  name = entry["name"]
  kind = entry["kind"]
  given = column[column != ""]
  if issubclass(kinds.kind(kind), Number | Angle):
    numbers = tables.to_numbers(column)
    if numbers is None:
      row, value = _first_word(given)
      raise DataError(
        f"{name} is to be of kind {kind}: row {row} has {value!r}, expected a "
        f"number; {commands.format_kind(name, 'class')} takes words"
      )
    return entry | _limits(entry, numbers, train[given.index])
  found = [word for word in list_words(given, kind).unique() if word]
  levels = entry.get("levels") or _pair(found) or sort(found)
  if strange := sorted(set(found) - set(levels)):
    raise DataError(
      f"{name}: found {strange[0]!r}, which is none of its levels "
      f"{', '.join(levels)}; correct the table, or --kind"
    )
  if kind == "binary" and len(levels) != 2:
    raise DataError(
      f"{name} is to be binary; found {len(levels)} values: "
      f"{', '.join(levels[:5])}; {commands.format_kind(name, 'class')} takes "
      "more than two"
    )
  if kind == "ordinal" and "levels" not in entry:
    try:
      sorted(levels, key=float)
    except ValueError:
      raise DataError(
        f"{name}=ordinal needs the order of its levels, as in "
        f"{commands.format_kind(name, 'ordinal:' + '<'.join(levels[:4]))}"
      ) from None
  return entry | {"levels": levels}


def _limits(entry: Entry, numbers: pd.Series, train: np.ndarray) -> Entry:
  kind = kinds.kind(entry["kind"])
  if issubclass(kind, Angle):
    if "period" in entry:
      return {}
    return {"period": infer_period(entry["name"], numbers)}
  if issubclass(kind, Log):
    check_above_0(entry["name"], numbers)
    check_above_0(entry["name"], entry.get("range", ()))
  if "range" in entry:
    low, high = entry["range"]
    if low >= high:
      raise DataError(
        f"--kind: {entry['name']}: the range's low is below its high; found "
        f"{low:g}|{high:g}"
      )
    return {}
  known = numbers[train] if train.any() else numbers
  low = float(known.min())
  high = float(known.max())
  if low == high:
    raise DataError(
      f"{entry['name']}: all training rows have {low:g}; leave it out with "
      f"{commands.format_kind(entry['name'], IGNORE)}"
    )
  return {"range": [low, high]}


def _first_word(given: pd.Series) -> tuple[int, str]:
  if not len(given):
    return 0, ""
  bad = pd.to_numeric(given, errors="coerce").isna()
  at = int(bad.to_numpy().argmax())
  return int(given.index[at]) + 1, given.iloc[at]


def sort(levels: Sequence[str]) -> list[str]:
  """Sort levels, numbers by value."""
  key = lambda s: [  # noqa: E731
    (0, int(part), "") if part.isdecimal() else (1, 0, part)
    for part in re.split(r"(\d+)", s)
    if part
  ]
  try:
    return sorted(levels, key=float)
  except ValueError:
    return sorted(levels, key=key)
