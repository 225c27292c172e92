"""Reports on finished sweeps: a folder each, whose `report` has `write`."""

import importlib
import pkgutil
from pathlib import Path

from cvae_jax.host.paths import local

<<<<<<< 8d3f3ba01e65a2b44f67f103b2e1085738accfd8
=======
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

>>>>>>> 85928a51fdd765358036d13235ec83833aa80157

class ReportError(ValueError):
  """Says why there is nothing to report on."""


def names() -> list[str]:
  """List the reports there are."""
  found = pkgutil.iter_modules(__path__)
  return sorted(module.name for module in found if module.ispkg)


def write(name: str, runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write the report `name` on the runs below a folder; gives its files.

  Raises:
    ReportError: there is no such report, or nothing to report on.
  """
  if name not in names():
    raise ReportError(f"no report {name!r}; there are {', '.join(names())}")
  module = importlib.import_module(f"{__name__}.{name}.report")
  return module.write(local(runs_folder, "runs"), local(out_folder, "out"))
