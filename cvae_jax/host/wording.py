"""Parts of sentences of messages."""

import unicodedata
from collections.abc import Iterable


def compose(text: str) -> str:
  """Write each accent in one way: Macs and some keyboards write ä as two."""
  return unicodedata.normalize("NFC", text)


def shorten(names: Iterable[object], most: int = 5) -> str:
  """Join the first names by commas, with "…" behind them if there are more."""
  names = [str(name) for name in names]
  return ", ".join(names[:most]) + (", …" if len(names) > most else "")
