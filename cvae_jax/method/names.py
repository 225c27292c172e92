"""Entries of tables that a config picks by name."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")
_MOST = 40  # names that one message lists


def pick(table: Mapping[str, Entry], name: str, what: str) -> Entry:
  """Return what a config names of a table.

  Raises:
    ValueError: the table lacks it; the names it has are listed.
  """
  return table[check(table, name, what)]


def check(names: Iterable[str], name: str, what: str) -> str:
  """Return the name, if it is one of the names.

  Raises:
    ValueError: it is not; the names are listed.
  """
  known = tuple(names)
  if name not in known:
    listed = ", ".join(one or "''" for one in known)
    raise ValueError(f"{what} is one of {listed}; found {name!r}")
  return name


def hint(name: str, names: Collection[str]) -> str:
  """Return "; did you mean …" and the names there are, or the nearest few."""
  close = difflib.get_close_matches(str(name), list(names), n=1)
  close = close or [k for k in names if set(str(name).split("_")) & {k}]
  initials = "".join(word[:1] for word in str(name).split("_"))
  close = close or [k for k in names if k == initials]  # lr of learning_rate
  guess = f"; did you mean {close[0]!r}?" if close else ";"
  if len(names) <= _MOST:
    return f"{guess} known: {', '.join(sorted(names))}"
  near = difflib.get_close_matches(str(name), list(names), 6, cutoff=0.0)
  return f"{guess} the nearest of {len(names)}: {', '.join(near)}"
