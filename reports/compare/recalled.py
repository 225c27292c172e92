"""The comparison's runs that only a ledger has."""

from collections.abc import Mapping
from pathlib import Path

from cvae_jax.measures import ledger
from reports.compare import cells
from reports.compare.cells import Cell
from reports.compare.records import (
  Record,
  describe_state,
  describe_unlike,
  is_ours,
  make_record,
)


def recall(results: Path, known: Mapping[Cell, Record]) -> dict[Cell, Record]:
  """Return what a ledger has of other cells, with what was measured then.

  Only finished runs count, and of those of one cell the longest. What was
  measured in another way than the runs that are known, or than the first
  entry, cannot stand beside them and is left out.
  """
  measured = [record for record in known.values() if "protocol" in record]
  found: dict[Cell, Record] = {}
  for entry in ledger.below(results):
    record = _read(entry) if is_ours(entry) else None
    if record is None or record["cell"] in known:
      continue
    if measured and (words := describe_unlike(measured[0], record)):
      print(f"{entry.path}: left out, it was not measured alike: {words}")
      continue
    measured.append(record)
    longest = found.get(record["cell"], record)
    if record["updates"] >= longest["updates"]:
      found[record["cell"]] = record
  return found


def _read(entry: ledger.Entry) -> Record | None:
  """Return an entry's figures; None if it is unfinished or not measured."""
  data = entry.content.get("data") or {}
  known = entry.measures.get("collapse")
  if not entry.done or not known or not {"train", "test"} <= data.keys():
    return None
  record = make_record(entry, cells.cell(entry.config)) | {"folder": None}
  counts = [data[part]["image"]["shape"][0] for part in ("train", "test")]
  state = describe_state(record, known["protocol"]["step"])
  return record | state | {"data": None, "counts": counts} | known
