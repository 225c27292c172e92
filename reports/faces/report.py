"""The face ladder: what its models are worth, and what the source concluded."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import data, figures, runs
from cvae_jax.host import commands, images
from cvae_jax.host.files import write_atomically
from cvae_jax.loop.folder.folders import Folder
from cvae_jax.loop.folder.run_data import Datasets, RunMismatch
from cvae_jax.measures import curves, ledger, score, table, variety, verify
from reports import LEDGER, ReportError, markdown
from reports.faces import text as face_text

SHOWN = 9  # the model whose figures are drawn, where it is trained
Model = dict[str, Any]  # the figures of one run
Models = dict[int, Model]  # by rung of the ladder


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write faces_report.md and its pictures, all generated; gives the paths.

  Models whose runs are not here are reported from the ledger in `out_folder`.
  They have no pictures.

  Raises:
    ReportError: there is no model of the ladder, or two runs of one model.
  """
  out = Path(out_folder)
  models = _ladder(Path(runs_folder), out / LEDGER)
  if not models:
    raise ReportError(
      f"no run of the face ladder in {runs_folder}; train it: "
      f"{commands.format_command('sweep')} --config=faces --workdir=…"
    )
  here = {k: m for k, m in models.items() if not _is_entry(m)}
  shown = SHOWN if SHOWN in here else max(here, default=SHOWN)
  grid = {}
  drawn = []
  load = Datasets()
  for rung, model in models.items():
    if _is_entry(model):
      model |= _recall(model["record"])
      continue
    run = runs.load(model["record"].path)
    model |= _measure(run, load) | {"scores": score.load_known(run) or {}}
    grid[f"model {rung}"] = _panel(run)
    columns = figures.captions(run)["prior"][1]
    if rung == shown:
      drawn = _draw(run, out)
  records = {f"model {rung}": m["record"] for rung, m in models.items()}
  images.save_figure(out / "faces_curves.png", curves.panels(records))
  if grid:
    images.save_grid(
      out / "faces_samples.png",
      np.stack([*grid.values()]),
      rows=[*grid],
      columns=columns,
    )
  command = markdown.command("faces", runs_folder, out)
  page = face_text.page(models, shown, drawn, command)
  write_atomically(out / "faces_report.md", page)
  pictures = ("curves", *["samples"] * bool(grid), *drawn)
  return [
    out / "faces_report.md",
    *(out / f"faces_{name}.png" for name in pictures),
  ]


def _ladder(folder: Path, entries: Path) -> Models:
  """Return what the models of the ladder have on record, by rung.

  Of runs of several seeds the first one counts; `seeds` has all of them.

  Args:
    folder: the runs lie below it.
    entries: a ledger, for the models that have no run there.
  """
  places = [place for place in (folder, entries) if place.is_dir()]
  models = {}
  found = table.find(places or [folder])
  rows = json.loads(table.collect(*places).to_json(orient="records"))
  read = (_read(row, found[row["run"]]) for row in rows)
  for model in sorted(filter(None, read), key=_order):
    first = models.setdefault(model["rung"], model)
    known = first.setdefault("seeds", {}).setdefault(model["seed"], model)
    if known is not model and not _is_entry(model):
      raise ReportError(
        f"{model['record'].path} and {known['record'].path} are both model "
        f"{model['rung']} of seed {model['seed']}; report on a folder with one "
        "run of each"
      )
  return models


def _order(model: Model) -> tuple:
  """Order models by rung, runs before entries, and by seed."""
  return model["rung"], _is_entry(model), model["seed"]


def _read(row: Model, record: Folder) -> Model | None:
  """Return a model's figures; None of a run that is no model or unsaved."""
  config = record.config
  family, _, rung = config.reference.partition("/")
  if family != "faces":
    return None
  if not (isinstance(record, ledger.Entry) or runs.saved(record.path)):
    print(f"{record.path}: left out, it has no checkpoint yet")
    return None
  losses = [r["model/loss"] for r in record.split("epoch")]
  curve = verify.load_published(config.reference)
  return row | {
    "rung": int(rung),
    "seed": config.seed,
    "record": record,
    "trained_on": ledger.identify(record)["data"],
    "H": config.model.encoder.latents,
    "W": config.loss.mse * math.prod(config.data.image_shape),
    "complete": row["epochs"] >= max(curve),
    "rises": int((np.diff(losses) > 0).sum()),
    "environment": record.environment,
  }


def _is_entry(model: Model) -> bool:
  return isinstance(model["record"], ledger.Entry)


def _recall(entry: ledger.Entry) -> Model:
  """Return what an entry says of a model's variety and control."""
  found = {"scores": entry.measures.get("scores", {})}
  if measured := entry.measures.get("variety"):
    found |= _describe_variety(measured)
  return found


def _describe_variety(measured: Model) -> Model:
  usage = measured["latents"]
  return measured["distances"] | {
    "active": f"{usage['active']} of {usage['of']}",
    "protocol": measured["protocol"],
  }


def _measure(run: runs.Run, load: Datasets) -> Model:
  """Measure a run beside its held-out faces; nothing where they are not here.

  Args:
    load: loads data, those of one config once.
  """
  try:
    found = load(run.folder, run.config.data)
  except (data.DataError, RunMismatch) as error:
    print(f"{run.folder}: variety not measured: {error}")
    return {}
  test = found.test
  counts = [len(found.train["image"]), len(test["image"]) if test else 0]
  named = {
    "data": found.name,
    "counts": counts,
    "conditions": run.conditions.names,
  }
  if not test:
    return named
  return named | _describe_variety(variety.measure(run, test))


def _panel(run: runs.Run) -> NDArray:
  """Draw one latent under the panel's settings: [P, H, W, C]."""
  panel = run.conditions.panel()
  return run.decode(np.tile(run.prior(1), (len(panel), 1)), panel)


def _draw(run: runs.Run, folder: Path) -> list[str]:
  """Draw the figures of the model that is shown; gives their names."""
  names = []
  captions = figures.captions(run)
  for name, pictures in figures.draw(run).items():
    if name in face_text.FIGURES:
      rows, columns = captions[name]
      path = folder / f"faces_{name}.png"
      images.save_grid(path, pictures, rows=rows, columns=columns)
      names.append(name)
  return names
