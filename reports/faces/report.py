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
from cvae_jax.loop.run_data import Datasets, RunMismatch
from cvae_jax.measures import curves, score, table, variety, verify
from reports import ReportError, markdown
from reports.faces import text as face_text

SHOWN = 9  # the model whose figures are drawn, where it is trained
Model = dict[str, Any]  # the figures of one run
Models = dict[int, Model]  # by rung of the ladder


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write faces.md and its pictures, all of them generated; gives the paths.

  Raises:
    ReportError: no run of the ladder has a finished epoch, or two are of the
      same model.
  """
  models = _ladder(runs_folder)
  if not models:
    raise ReportError(
      f"no run of the face ladder in {runs_folder}; train it: "
      f"{commands.format_command('sweep')} --config=faces --workdir=…"
    )
  shown = SHOWN if SHOWN in models else max(models)
  out = Path(out_folder)
  rows = []
  captions = ()
  drawn = []
  load = Datasets()
  for rung, model in models.items():
    run = runs.load(model["folder"])
    model |= _measure(run, load) | {"scores": score.load_known(run) or {}}
    rows.append(_panel(run))
    captions = figures.captions(run)["prior"][1]
    if rung == shown:
      drawn = _draw(run, out)
  panels = curves.panels(table.find([runs_folder]))
  images.save_figure(out / "faces_curves.png", panels)
  images.save_grid(
    out / "faces_samples.png",
    np.stack(rows),
    rows=[f"model {rung}" for rung in models],
    columns=captions,
  )
  command = markdown.command("faces", runs_folder, out)
  page = face_text.page(models, shown, drawn, command)
  write_atomically(out / "faces_report.md", page)
  pictures = ("curves", "samples", *drawn)
  return [
    out / "faces_report.md",
    *(out / f"faces_{name}.png" for name in pictures),
  ]


def _ladder(folder: Path) -> Models:
  """Return what the runs of the ladder below a folder have on record."""
  models = {}
  found = table.find([folder])
  for row in json.loads(table.collect(folder).to_json(orient="records")):
    record = found[row["run"]]
    run = record.path
    config = record.config
    family, _, rung = config.reference.partition("/")
    if family != "faces":
      continue
    if not runs.saved(run):
      print(f"{run}: left out, it has no checkpoint yet")
      continue
    if int(rung) in models:
      raise ReportError(
        f"{run} and {models[int(rung)]['folder']} are both model {rung}; "
        "report on a folder with one run of each"
      )
    losses = [r["model/loss"] for r in record.split("epoch")]
    curve = verify.load_published(config.reference)
    models[int(rung)] = row | {
      "folder": run,
      "H": config.model.encoder.latents,
      "W": config.loss.mse * math.prod(config.data.image_shape),
      "complete": row["epochs"] >= max(curve),
      "rises": int((np.diff(losses) > 0).sum()),
      "environment": record.environment,
    }
  return dict(sorted(models.items()))


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
  measured = variety.measure(run, test)
  usage = measured["latents"]
  active = f"{usage['active']} of {usage['of']}"
  return (
    named
    | measured["distances"]
    | {"active": active}
    | {"protocol": measured["protocol"]}
  )


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
