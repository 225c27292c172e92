"""The colouring runs: published curves, the KL's collapse, held-out colours."""

import io
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cvae_jax import config as configs
from cvae_jax import images, runs, verify
from cvae_jax.colour import score
from cvae_jax.files import write_atomically
from cvae_jax.record import read_metrics

SYSTEM = "colouring"
_SCORES = "colour_scores.json"


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Writes colour_report.md and its pictures; gives their paths.

  Every run of the system below `runs_folder` that has a finished epoch is in
  it. Held-out photos are shown as they are, so show only what may be shown:
  the data that a run names are its owner's.

  Raises:
    RunError: there is no such run.
  """
  found = _runs(Path(runs_folder))
  if not found:
    raise runs.RunError(
      f"no colouring run with a finished epoch in {runs_folder}; train one: "
      "python -m launch.train --config=configs/colour.py --workdir=…"
    )
  out = Path(out_folder)
  parts, pictures = [], [out / "colour_curves.png"]
  _plot(pictures[0], found)
  parts.append("# Colouring: the runs\n\n![Curves](colour_curves.png)")
  parts.append(f"## Training\n\n```\n{_training(found)}\n```")
  for folder, rows in found.items():
    scores, sheet = score.score(runs.load(folder))
    path = out / f"colour_{folder.name}.png"
    images.save_grid(path, sheet, scale=1)
    text = json.dumps(scores, indent=2) + "\n"
    write_atomically(folder / _SCORES, text)
    pictures.append(path)
    parts.append(_section(folder, rows, scores, path))
  page = out / "colour_report.md"
  write_atomically(page, "\n\n".join(parts) + "\n")
  return [page, *pictures]


def _runs(folder: Path) -> dict[Path, list[dict[str, Any]]]:
  """Gives the epochs {run: rows} of the colouring runs below a folder."""
  found = {}
  for path in sorted(folder.rglob("config.json")):
    if configs.from_json(path.read_text()).system != SYSTEM:
      continue
    rows = [r for r in read_metrics(path.parent) if r["split"] == "epoch"]
    if rows:
      found[path.parent] = rows
  return found


def _training(found: dict[Path, list[dict[str, Any]]]) -> str:
  """Lays out each run's last epoch; published is its curve's same epoch."""
  lines = [f"{'run':24}epoch    loss  published  error      KL  nats"]
  for folder, rows in found.items():
    last = rows[-1]
    beside = _published(folder).get(round(last["epoch"]))
    theirs = "–" if beside is None else f"{beside:.4f}"
    lines.append(
      f"{folder.name:24}{last['epoch']:5.0f} {last['model/loss']:7.4f} "
      f"{theirs:>10} {last['model/error']:.4f} {last['model/kl']:7.4f}  a cell"
    )
  return "\n".join(lines)


def _published(folder: Path) -> dict[int, float]:
  """Gives the published curve of a run, empty where there is none."""
  name = configs.from_json((folder / "config.json").read_text()).reference
  return verify.published(name) if name else {}


def _plot(path: Path, found: dict[Path, list[dict[str, Any]]]) -> None:
  """Draws loss and KL of every epoch, published losses dashed."""
  figure = Figure(figsize=(9, 3.5), layout="constrained")
  loss, kl = figure.subplots(1, 2)
  for folder, rows in found.items():
    epochs = [row["epoch"] for row in rows]
    (line,) = loss.plot(
      epochs, [row["model/loss"] for row in rows], label=folder.name
    )
    curve = _published(folder)
    if curve:
      loss.plot(list(curve), list(curve.values()), "--", color=line.get_color())
    kl.plot(epochs, [row["model/kl"] for row in rows], color=line.get_color())
  loss.set(yscale="log", xlabel="epoch", title="training loss (-- published)")
  kl.set(yscale="log", xlabel="epoch", title="KL, nats a cell")
  loss.legend(fontsize="small")
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=100)
  write_atomically(path, buffer.getvalue())


def _section(folder: Path, rows, scores: dict[str, Any], picture: Path) -> str:
  by_epoch = "  ".join(f"{row['model/kl']:.4f}" for row in rows)
  return (
    f"## {folder.name}\n\n```\n{score.table(scores)}\n"
    f"KL of each epoch, nats a cell: {by_epoch}\n```\n\n"
    f"![{folder.name}]({picture.name})\n\n"
    f"*Grey; mean of {score.MEAN_OF} latents; variants; the true colours "
    "recomposed from 14 × 14; the photo.*"
  )
