"""What reports are written in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cvae_jax.measures.typeset import cell, spread as spread


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Lay rows {column: value} out; None and nan become a dash."""
  columns = list(rows[0])
  lines = [columns, ["---"] * len(columns)]
  lines += [[cell(row[column]) for column in columns] for row in rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def control(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Return a row for each attribute of faces that was scored, if any was."""
  return [
    {
      "attribute": name,
      "asked for": _grade(entry["sweep"]),
      "as real faces": _grade(entry["real"]),
      "ceiling": _grade(entry.get("ceiling", {})),
      "floor": entry["sweep"]["floor"],
      "slope": entry["sweep"].get("slope"),
      "samples": entry["sweep"].get("samples"),
    }
    for name, entry in scores.get("control", {}).items()
  ]


def _grade(figures: Mapping[str, Any]) -> float | None:
  """Return a class's hit rate, a value's correlation; None if not measured."""
  return figures.get("hit_rate", figures.get("correlation"))


def command(name: str, runs_folder: Path, out_folder: Path) -> str:
  """Return the command that writes a report; no machine's paths in it."""
  runs, out = (
    path.name if path.is_absolute() else path.as_posix()
    for path in (runs_folder, out_folder)
  )
  return f"python -m launch.report {name} --runs={runs} --out={out}"


def describe_training(environments: Iterable[Mapping[str, Any]]) -> str:
  """Say on what devices, and at which commits, runs were trained.

  Args:
    environments: an entry of each run's environment.json.
  """
  where = {
    f"{e['device']} (jax {e['packages']['jax']}, commit "
    f"{(e['commit'] or 'unknown')[:7]})"
    for e in environments
  }
  return f"Trained on {'; '.join(sorted(where))}."
