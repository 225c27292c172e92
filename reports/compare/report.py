"""AE, VAE, GAN and WGAN-GP compared: collapse, stopping, the source's word."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import config as configs, data, runs
from cvae_jax.figures import gan
from cvae_jax.host import commands, images
from cvae_jax.host.files import write_atomically
from cvae_jax.loop import distances
from cvae_jax.loop.folder.run_data import Datasets, RunMismatch
from cvae_jax.measures import collapse
from reports import LEDGER, ReportError, below, markdown
from reports.compare import (
  cells as compare_cells,
  curves as compare_curves,
  recalled,
  text as compare_text,
)
from reports.compare.cells import Cell
from reports.compare.records import (
  describe_state,
  describe_unlike,
  is_ours,
  make_record,
)

SIDE = 64  # pixels of a picture in a grid, where images are larger
WAYS = 2  # from one sample to another, of each kind
REAL = 10  # images and their reconstructions, in the run's own folder

Found = dict[Cell, dict[str, Any]]


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write compare.md and its pictures, all of them generated; gives the paths.

  Images and their reconstructions, which a licence may forbid to publish, are
  drawn into each run's folder as reconstructions.png. What has no run there is
  reported from the ledger in `out_folder`, if it was measured alike.

  Raises:
    ReportError: no run of the comparison has a finished epoch, two are of the
      same cell, or they are of several sizes, data or ways to be measured.
  """
  out = Path(out_folder)
  found = _read_runs(Path(runs_folder))
  held = _holder()
  shown = compare_cells.choose_drawn(found).values()
  grids = {}
  ways = {}
  for cell, record in found.items():
    run = runs.load(record["folder"])
    beside = held(run)
    record |= describe_state(record, int(run.state.step))
    record |= _measure(run, beside) if beside else {}
    if cell in shown:
      grids |= _samples(run, cell.kind, beside)
      ways[cell.kind] = gan.interpolation(run, rows=WAYS)
  _check_alike([record for record in found.values() if "protocol" in record])
  found = _sort(found | recalled.recall(out / LEDGER, found))
  if not found:
    raise ReportError(
      f"no run of the comparison in {runs_folder}; train them: "
      f"{commands.format_command('sweep')} --config=compare --workdir=…"
    )
  for name, grid in grids.items():
    images.save_grid(_path(out, name), _small(grid))
  if ways:
    images.save_grid(
      _path(out, "interpolations"),
      _small(np.concatenate([*ways.values()])),
      rows=[kind for kind in ways for _ in range(WAYS)],
    )
  drawn = compare_cells.choose_drawn(found).values()
  compare_curves.plot(
    _path(out, "curves"), {cell: found[cell] for cell in drawn}
  )
  command = markdown.command("compare", Path(runs_folder), out)
  page = compare_text.page(found, grids, command)
  write_atomically(out / "compare_report.md", page)
  names = (*grids, *["interpolations"] * bool(ways), "curves")
  return [out / "compare_report.md", *(_path(out, name) for name in names)]


def _path(folder: Path, name: str) -> Path:
  return folder / f"compare_{name}.png"


def _read_runs(folder: Path) -> Found:
  """Return what the comparison's runs below a folder have on record."""
  found: Found = {}
  for run in below(folder):
    if not is_ours(run):
      continue
    if not runs.saved(run.path):
      print(f"{run.path}: left out, it has no checkpoint yet")
      continue
    cell = compare_cells.cell(run.config)
    if cell in found:
      raise ReportError(
        f"{run.path} and {found[cell]['folder']} are both {cell}; report "
        "on a folder with one run of each"
      )
    found[cell] = make_record(run, cell)
  if len(sizes := {record["size"] for record in found.values()}) > 1:
    raise ReportError(
      f"the runs below {folder} are of images of {sorted(sizes)} pixels a "
      "side; report on a folder with runs of one size"
    )
  return _sort(found)


def _sort(found: Found) -> Found:
  return {cell: found[cell] for cell in sorted(found, key=_order)}


def _order(cell: Cell) -> tuple:
  kind = list(compare_cells.KINDS.values()).index(cell.kind)
  beta = cell.beta or 0.0
  return kind, cell.latents, cell.reduction, beta, cell.seed


def _holder() -> Callable[[runs.Run], collapse.Held | None]:
  """Return (run) → its held-out images, which loads equal data only once."""
  known = {}
  embed = _load_embedding()
  load = Datasets()

  def held(run: runs.Run) -> collapse.Held | None:
    wanted = run.config.data
    rule = run.config.distance
    key = configs.to_json(wanted) + configs.to_json(rule)
    try:
      dataset = load(run.folder, wanted)
      if key not in known:
        known[key] = collapse.Held(dataset, rule, embed)
    except (data.DataError, RunMismatch) as error:
      print(f"{run.folder}: not measured: {error}")
      return None
    return known[key]

  return held


def _load_embedding() -> distances.Embed | None:
  try:
    return distances.load_embedding()
  except data.DataError as error:
    print(f"neighbours and distances are of pixels alone: {error}")
    return None


def _measure(run: runs.Run, beside: collapse.Held) -> dict[str, Any]:
  """Measure a run beside its held-out images."""
  if run.system.encode:
    _reconstruct(run, beside)
  return {
    "data": beside.dataset.name,
    "counts": [
      len(split["image"])
      for split in (beside.dataset.train, beside.dataset.test)
    ],
    **collapse.measure(run, beside),
  }


def _check_alike(measured: Sequence[Mapping[str, Any]]) -> None:
  """Check that runs were measured in the same way on the same data."""
  for record in measured[1:]:
    if unlike := describe_unlike(measured[0], record):
      raise ReportError(
        f"{measured[0]['folder']} and {record['folder']} cannot be compared: "
        f"{unlike}; report on a folder with runs of the same data and "
        "config.distance"
      )


def _reconstruct(run: runs.Run, held: collapse.Held) -> None:
  """Draw images over their reconstructions, in the run's folder alone."""
  image = held.image[:REAL]
  condition = held.condition[:REAL]
  again = run.decode(run.encode(image, condition).mean, condition)
  pair = np.stack([runs.unit(image), again])
  images.save_grid(run.folder / "reconstructions.png", pair)


def _samples(run: runs.Run, kind: str, held) -> dict[str, NDArray]:
  """Draw samples {name: [R, P, H, W, C]}, the AE's from fitted codes too."""
  name = kind.lower().replace("-", "_")
  grid = gan.prior(run)
  found = {name: grid}
  if kind == "AE" and held:
    z = collapse.draw_fitted(run, held.dataset, grid.shape[0] * grid.shape[1])
    found["ae_fitted"] = gan.decode(run, z).reshape(grid.shape)
  return found


def _small(grid: NDArray) -> NDArray:
  """Average the pictures of a grid [R, P, H, W, C] down to SIDE pixels."""
  height, width = grid.shape[2:4]
  if not images.pooled_shape(height, width, SIDE):
    return grid
  flat = images.average_pool(grid.reshape(-1, *grid.shape[2:]), SIDE)
  return flat.reshape(*grid.shape[:2], *flat.shape[1:])
