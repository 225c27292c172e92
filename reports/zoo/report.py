"""The zoo: what its systems are worth, beside what their sources claim."""

from pathlib import Path

from cvae_jax.host.files import write_atomically
from reports import LEDGER, ReportError, markdown
from reports.zoo import (
  figures as zoo_figures,
  runs as zoo_runs,
  text as zoo_text,
)


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write zoo.md and its pictures; gives their paths.

  Finished runs in the folder, or in folders in it, are reported on. What has no
  run there is reported from the ledger in `out_folder`, without pictures. What
  is measured of a run stays in its folder and is read from there next time. A
  run of the system `attribute` among them judges what samples show. Faces are
  generated ones: no real one is drawn, nor its reconstruction.

  Raises:
    ReportError: there is no such run, or two are the same.
  """
  out = Path(out_folder)
  zoo = zoo_runs.collect(Path(runs_folder), out / LEDGER)
  if not zoo.groups:
    raise ReportError(
      f"no finished run of the zoo in {runs_folder}; train it: "
      f"{zoo_text.DIGITS}"
    )
  zoo = zoo_runs.measure_all(zoo)
  drawn = zoo_figures.draw(zoo, out)
  command = markdown.command("zoo", runs_folder, out)
  write_atomically(out / "zoo_report.md", zoo_text.page(zoo, drawn, command))
  return [out / "zoo_report.md", *drawn.values()]
