"""What kind of attribute each column of a table is: the schema of a set.

An entry of the schema is {"name", "kind", …}: the levels of a class, binary,
multilabel or ordinal, the range of a number or a log, the period of an angle.
"""

from collections.abc import Sequence

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.conditions import kinds
from cvae_jax.data.files.columns import list_words
from cvae_jax.data.files.infer_kinds import IGNORE, Entry
from cvae_jax.host.wording import shorten


def parse(text: str) -> dict[str, Entry]:
  """Parse "size=number,grade=ordinal:low<mid<high" to name → entry.

  Beside the kinds of data.conditions there is `ignore`.

  Raises:
    DataError: if it is of another form or a kind is unknown.
  """
  found = {}
  kept = []
  for part in filter(None, text.split(",")):
    name, _, kind = (word.strip() for word in part.partition("="))
    if kind == IGNORE:
      found[name] = {"name": name, "kind": IGNORE}
    else:
      kept.append(part)
  try:
    return found | kinds.parse(",".join(kept))
  except DataError as error:
    raise DataError(f"--kind: {error} (or {IGNORE})") from error


def summary(entries: Sequence[Entry], table: pd.DataFrame) -> list[str]:
  """Say in a line each what the attributes are."""
  lines = []
  width = max((len(entry["name"]) for entry in entries), default=0)
  for entry in entries:
    column = table[entry["name"]]
    missing = int((column == "").sum())
    said = f"  {entry['name']:{width}}  {entry['kind']:10}  "
    said += _describe(entry, column)
    if missing:
      what = "no label" if entry["kind"] == "multilabel" else "missing"
      said += f"; {what} in {missing:,} rows ({missing / len(table):.1%})"
    lines.append(said)
  return lines


def _describe(entry: Entry, column: pd.Series) -> str:
  if "range" in entry:
    low, high = entry["range"]
    return f"{low:g} to {high:g}"
  if "period" in entry:
    return f"period {entry['period']:g}"
  counts = list_words(column, entry["kind"]).value_counts()
  shown = [f"{level} {counts.get(level, 0):,}" for level in entry["levels"]]
  return f"{len(shown)} levels: {shorten(shown, 12)}"
