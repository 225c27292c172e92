"""Entries of tables that a config picks by name."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


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
