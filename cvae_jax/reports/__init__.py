"""Reports on finished sweeps: each is a module with `write`, found by name."""

import importlib
import pkgutil
from pathlib import Path

from cvae_jax.paths import local

_HELPERS = {
  "claims",
  "compare_cells",
  "compare_claims",
  "compare_curves",
  "compare_rules",
  "compare_text",
  "face_claims",
  "face_text",
  "markdown",
  "variants",
  "zoo_claims",
  "zoo_figures",
  "zoo_runs",
  "zoo_tables",
  "zoo_text",
}  # Modules here that are no reports.


class ReportError(ValueError):
  """Says why there is nothing to report on."""


def names() -> list[str]:
  """List the reports there are."""
  found = {module.name for module in pkgutil.iter_modules(__path__)}
  return sorted(found - _HELPERS)


def write(name: str, runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write the report `name` on the runs below a folder; gives its files.

  Raises:
    ReportError: there is no such report, or nothing to report on.
  """
  if name not in names():
    raise ReportError(f"no report {name!r}; there are {', '.join(names())}")
  module = importlib.import_module(f"{__name__}.{name}")
  return module.write(local(runs_folder, "runs"), local(out_folder, "out"))
