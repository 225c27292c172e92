"""Parts of sentences of messages."""

from collections.abc import Iterable


def shorten(names: Iterable[object], most: int = 5) -> str:
  """Join the first names by commas, with "…" behind them if there are more."""
  names = [str(name) for name in names]
  return ", ".join(names[:most]) + (", …" if len(names) > most else "")
