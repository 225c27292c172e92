"""The rows of metrics.jsonl, even if some are damaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cvae_jax.host.files import DamagedFile, parse_json

FILE = "metrics.jsonl"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
  """Read metrics.jsonl; a last line cut short by a kill is left out.

  Raises:
    DamagedFile: a line is no JSON with a step and a split.
  """
  rows, bad = parse_metrics(folder)
  if bad:
    raise DamagedFile(
      f"{Path(folder) / FILE}: {lines(bad)} cannot be read; delete them, or go "
      "on with the run, which leaves them out"
    )
  return rows


def parse_metrics(folder: Path) -> tuple[list[dict[str, Any]], list[int]]:
  """Return the rows of metrics.jsonl and the numbers of its damaged lines."""
  path = Path(folder) / FILE
  if not path.exists():
    return [], []
  rows = []
  bad = []
  for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
    # A kill cut what follows the last \n; the run writes it again.
    try:
      row = parse_json(line)
    except ValueError:
      row = None
    if _is_row(row):
      rows.append(row)
    else:
      bad.append(number)
  return rows, bad


def losses(rows: Sequence[Mapping[str, Any]], split: str) -> dict[float, float]:
  """Return {epoch: loss} of training ("epoch") or of an evaluation.

  If a system has several players, it is the training loss of `first_player`.
  """
  rows = [row for row in rows if row["split"] == split]
  if split == "epoch":
    return {r["epoch"]: r[f"{first_player(r)}/loss"] for r in rows}
  return {r["epoch"]: r["loss"] for r in rows if "loss" in r}


def first_player(row: Mapping[str, Any]) -> str:
  """Return the first player in alphabetical order; its loss is the run's."""
  return min(k.partition("/")[0] for k in row if k.endswith("/loss"))


def _is_row(row: Any) -> bool:
  if not isinstance(row, dict):
    return False
  step = row.get("step")
  of_step = type(step) is int and step >= 0  # a bool is an int, too
  return of_step and isinstance(row.get("split"), str)


def lines(numbers: list[int]) -> str:
  """Name lines in a few words, "lines 3, 4"."""
  shown = ", ".join(map(str, numbers[:5]))
  more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
  return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"


def describe_loss(
  folder: Path, rows: Sequence[Mapping[str, Any]], step: int, counted: int
) -> str | None:
  """Say that rows are missing or too many; None: as a checkpoint counted.

  Args:
    folder: the run's.
    rows: those of its metrics.jsonl.
    step: the checkpoint's.
    counted: the number of rows when it was saved.
  """
  found = sum(row["step"] <= step for row in rows)
  if counted and found > counted:  # an older release counted none
    return (
      f"warning: {Path(folder) / FILE} has {found} rows up to step {step}, its "
      f"checkpoint counted {counted}: {found - counted} are of somebody else. "
      "Delete them; the state is whole"
    )
  if found >= counted:
    return None
  return (
    f"warning: {Path(folder) / FILE} has {found} rows up to step {step}, its "
    f"checkpoint counted {counted}: {counted - found} are lost. Bring a copy "
    "of the file back if there is one; the state is whole without them"
  )
