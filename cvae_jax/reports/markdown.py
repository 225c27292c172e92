"""What reports are written in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Verdict(NamedTuple):
  """A claim, what became of it and why."""

  claim: str
  outcome: str  # confirmed, contradicted, undecided or not measured
  reasons: list[str]


def verdicts(judged: Iterable[Verdict]) -> str:
  """Lists verdicts with their reasons."""
  return "\n".join(
    f"- **{v.claim}: {v.outcome}.** {'; '.join(v.reasons)}." for v in judged
  )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Lays rows {column: value} out; None and nan become a dash."""
  columns = list(rows[0])
  lines = [columns, ["---"] * len(columns)]
  lines += [[cell(row[column]) for column in columns] for row in rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
  """Writes one value: four significant digits, thousands apart."""
  if value is None or value != value:
    return "–"
  if isinstance(value, float):
    small = f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return small.replace("-", "−")
  return f"{value:,}" if isinstance(value, int) else str(value)


def command(name: str, runs_folder: Path, out_folder: Path) -> str:
  """Gives the command that writes a report; no machine's paths in it."""
  runs, out = (
    path.name if path.is_absolute() else path.as_posix()
    for path in (runs_folder, out_folder)
  )
  return f"python -m launch.figures {name} --runs={runs} --out={out}"
