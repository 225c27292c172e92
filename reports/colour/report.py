"""The colouring runs: published curves, the KL's collapse, held-out colours."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cvae_jax import config as configs, runs
from cvae_jax.host import commands, images
from cvae_jax.host.files import write_atomically
from cvae_jax.measures import colour as score, verify
from reports import ReportError, markdown

SYSTEM = "colouring"
_SCORES = "colour_scores.json"

Runs = dict[Path, list[dict[str, Any]]]  # epochs of each


def write(runs_folder: Path, out_folder: Path) -> list[Path]:
  """Write colour_report.md and its pictures; gives their paths.

  Every run of the system below `runs_folder` that has a finished epoch is in
  it. Held-out photos are shown as they are, so show only what may be shown:
  the data that a run names are its owner's.

  Raises:
    ReportError: there is no such run, or two have the same name.
  """
  found = _runs(runs_folder)
  if not found:
    raise ReportError(
      f"no colouring run with a finished epoch in {runs_folder}; train one: "
      f"{commands.format_command('train')} --config=colour --workdir=…"
    )
  out = Path(out_folder)
  pictures = [out / "colour_curves.png"]
  _plot(pictures[0], found)
  command = markdown.command("colour", runs_folder, out)
  parts = [
    f"# Colouring: the runs\n\nWritten by `{command}`; run it again to renew "
    "it.",
    f"## Training\n\n{_training(found)}",
    "![Curves](colour_curves.png)\n\n*Loss (published: dashed) and KL of each "
    "epoch.*",
    f"## Is model 3 better than model 1?\n\n{_claim(found)}",
  ]
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


def _runs(folder: Path) -> Runs:
  """Return the epochs {run: rows} of the colouring runs below a folder."""
  found = {}
  for run in runs.below(folder):
    if run.config.system == SYSTEM and run.split("epoch"):
      found[run.path] = run.split("epoch")
  names = [run.name for run in found]
  if twice := {name for name in names if names.count(name) > 1}:
    raise ReportError(
      f"several runs below {folder} are named {', '.join(sorted(twice))}; "
      "report on a folder in which each has its own name"
    )
  return found


def _training(found: Runs) -> str:
  """Lay out each run's last epoch; published is its curve's same epoch."""
  rows = []
  for folder, epochs in found.items():
    last = epochs[-1]
    epoch = round(last["epoch"])
    rows.append(
      {
        "run": folder.name,
        "epoch": epoch,
        "loss": last["model/loss"],
        "published": _published(folder).get(epoch),
        "MSE": last.get("model/error", last.get("model/mse")),
        "KL, nats a cell": last["model/kl"],
      }
    )
  return markdown.table(rows)


def _claim(found: Runs) -> str:
  """Hold model 3 against model 1 as the source did: equal w, final loss."""
  finals: dict[str, dict[int, float]] = {"Model 1": {}, "Model 3": {}}
  for folder, epochs in found.items():
    config = configs.of_run(folder)
    model = config.reference.partition("/")[2]
    if model in finals and epochs[-1]["epoch"] >= max(_published(folder)):
      finals[model][config.seed] = epochs[-1]["model/loss"]
  first, third = finals.values()
  seeds = sorted(first.keys() & third.keys())
  if not seeds:
    return "Not measured here: it takes runs of both from the same seed."
  curves = [verify.load_published(f"colouring/{model}") for model in finals]
  rows = [("published", *(curve[max(curve)] for curve in curves))]
  rows += [(f"seed {seed}", first[seed], third[seed]) for seed in seeds]
  changes = [b / a - 1 for _, a, b in rows]
  lower = sum(change < 0 for change in changes[1:])
  verdict = {len(seeds): "confirmed", 0: "refuted"}.get(lower, "undecided")
  table = markdown.table(
    [
      {
        "run": name,
        "model 1": a,
        "model 3": b,
        "change": f"{change:+.1%}".replace("-", "−"),
      }
      for (name, a, b), change in zip(rows, changes, strict=True)
    ]
  )
  return (
    f"{table}\n\nFinal training losses. The source's direction is "
    f"**{verdict}**: lower in {lower} of {len(seeds)} seeds."
  )


def _published(folder: Path) -> dict[int, float]:
  """Return the published curve of a run, empty where there is none."""
  return verify.curve(configs.of_run(folder))


def _plot(path: Path, found: Runs) -> None:
  """Draw loss and KL of every epoch, published losses dashed."""
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
  images.save_figure(path, figure)


def _section(folder: Path, rows, scores: dict[str, Any], picture: Path) -> str:
  by_epoch = ", ".join(markdown.cell(row["model/kl"]) for row in rows)
  order = sorted(scores["contenders"].items(), key=lambda p: p[1]["delta_e"])
  table = markdown.table(
    [
      {
        "colours": kind,
        "ΔE00": row["delta_e"],
        "chroma ratio": row["chroma_ratio"],
        "PSNR": row["psnr"],
        "error": row["error"],
      }
      for kind, row in order
    ]
  )
  protocol = scores["protocol"]
  return (
    f"## {folder.name}\n\n{protocol['train_photos']:,} photos train it, "
    f"{protocol['photos']:,} are held out and measured:\n\n{table}\n\n"
    f"Variety: ΔE00 {scores['variety_delta_e']:.2f} between pairs of "
    f"{protocol['variants']} variants. KL of each epoch, nats a cell: "
    f"{by_epoch}.\n\n![{folder.name}]({picture.name})\n\n"
    f"*Grey; mean of {score.MEAN_OF} latents; variants; the true colours "
    "recomposed from 14 × 14; the photo.*"
  )
