"""What in a column may not be meant as it is read."""

from collections.abc import Sequence

import pandas as pd

from cvae_jax.data.files import tables
from cvae_jax.data.files.infer_kinds import Entry
from cvae_jax.host import commands

CROWDED = 0.1  # of a range: half of the values lie below
DECADES = 100  # high / low, from which equal factors may count
STRETCHED = 5  # range of all values / that of all but the most extreme
_UNKNOWN = (
  *("unknown", "unk", "missing", "undefined", "not available", "n.a."),
  *("?", "-", "--", "unbekannt", "k.a."),
)


def hints(entries: Sequence[Entry], table: pd.DataFrame) -> list[str]:
  """Say in a line each which columns may want another kind, or a correction.

  Args:
    entries: of the schema.
    table: text, a column an attribute.
  """
  lines = []
  for entry in entries:
    name, kind = entry["name"], entry["kind"]
    column = table[name][table[name] != ""]
    for word in _stand_ins(kind, column):
      lines.append(
        f"note: {name}: {word!r} is taken for a value, in "
        f"{(column == word).sum():,} rows; if it says that the value is "
        "unknown, empty these cells"
      )
    if kind == "number":
      lines += _describe_spread(name, *entry["range"], column)
  return lines


def _stand_ins(kind: str, column: pd.Series) -> list[str]:
  """Return the values that may stand for unknown ones."""
  if kind == "multilabel":
    return []
  words = column.unique()
  found = [word for word in words if word.lower() in _UNKNOWN]
  numbers = tables.to_numbers(pd.Series(words))
  if kind in ("binary", "angle") or numbers is None or len(numbers) < 3:
    return found
  if numbers.min() == -1 and (numbers[numbers != -1] >= 0).all():
    found += [word for word, n in zip(words, numbers, strict=True) if n == -1]
  return found


def _describe_spread(
  name: str, low: float, high: float, column: pd.Series
) -> list[str]:
  """Say whether a few values, or many small ones, make a range a bad scale."""
  numbers = tables.to_numbers(column)
  inner = numbers[(numbers > low) & (numbers < high)]
  if not len(inner):
    return []
  least = inner.quantile(0.01, interpolation="higher")
  most = inner.quantile(0.99, interpolation="lower")
  share = (numbers.median() - low) / (high - low)
  # Without the extremes, are there still many small ones?
  usual = (inner.median() - least) / (most - least) if most > least else 1.0
  few = high - low > STRETCHED * (most - least) and usual > CROWDED
  if few and most > least:
    return [
      f"note: {name}: nearly all of its values are from {least:g} to {most:g}, "
      f"but its range is {low:g} to {high:g}; if those beyond are mistakes, or "
      "say that the value is unknown, correct the table or empty these cells"
    ]
  if numbers.min() > 0 and share <= CROWDED and high >= DECADES * low:
    return [
      f"note: {name}: half of its values lie in the lowest "
      f"{max(100 * share, 1):.0f} % of its range, where a model can hardly "
      f"tell them apart; {commands.format_kind(name, 'log')} takes its "
      "logarithm"
    ]
  return []
