"""Reports on finished sweeps: a folder each, whose `report` has `write`."""

import importlib
import pkgutil
from pathlib import Path

from cvae_jax.host.paths import local
from cvae_jax.loop.folder import folders
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.measures import ledger

LEDGER = "results"  # the folder of entries, in that of the report


class ReportError(ValueError):
  """Says why there is nothing to report on."""


def names() -> list[str]:
  """List the reports there are."""
  found = pkgutil.iter_modules(__path__)
  return sorted(module.name for module in found if module.ispkg)


def below(folder: Path) -> list[Folder]:
  """Return the runs below a folder; none, which is said, if it is not there."""
  if folder.is_dir():
    return folders.below(folder)
  print(f"{folder} is no folder, so only runs of the ledger are reported")
  return []


def is_of_same_images(one: Folder, other: Folder) -> bool:
  """Tell whether two runs were measured on the same images, as far as known."""
  if one.config.data.get("source") != other.config.data.get("source"):
    return False
  hashes = {_test_images(run) for run in (one, other)} - {None}
  return len(hashes) < 2


def _test_images(run: Folder) -> str | None:
  """Return the hash of a run's test images; None if it is not known."""
  known = ledger.identify(run)["data"] or {}
  return known.get("test", {}).get("image", {}).get("sha256")


def write(name: str, runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write the report `name` on the runs below a folder; gives its files.

  Each run that has ended gets an entry in the ledger beside the report.

  Raises:
    ReportError: there is no such report, or nothing to report on.
  """
  if name not in names():
    raise ReportError(f"no report {name!r}; there are {', '.join(names())}")
  module = importlib.import_module(f"{__name__}.{name}.report")
  runs = local(runs_folder, "runs")
  out = local(out_folder, "out")
  written = module.write(runs, out)
  if runs.is_dir():
    ended = (run for run in folders.below(runs) if run.ended)
    written += [ledger.write(run, out / LEDGER) for run in ended]
  return written
