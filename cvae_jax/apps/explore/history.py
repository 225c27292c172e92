"""A run's curves and scores, from the files of its folder."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from cvae_jax.apps.explore.opened import Opened
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.measures import score, score_text

PANELS = 6  # curves that are drawn, at most
FIRST = ("loss", "elbo", "mse", "psnr", "kl")  # before all others
COLOURS = {"epoch": "#94a3b8", "valid": "#0d9488", "test": "#4f46e5"}
SPLITS = {"epoch": "training", "valid": "validation", "test": "held out"}


def curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list]]:
  """Return {metric: {split: [(epoch, value), …]}} of rows of metrics.jsonl.

  A metric that several players have is named with its player.
  """
  names = {name for row in rows for name in row}
  plain = [name.rpartition("/")[2] for name in names if "/" in name]
  found = {}
  for row in rows:
    if row.get("split") not in SPLITS or "epoch" not in row:
      continue
    for name, value in row.items():
      if name in ("step", "split", "epoch") or name.startswith("schedule/"):
        continue
      if isinstance(value, int | float):
        short = name.rpartition("/")[2]
        shown = short if plain.count(short) < 2 else name
        of_split = found.setdefault(shown, {}).setdefault(row["split"], [])
        of_split.append((row["epoch"], value))
  first = [name for name in FIRST if name in found]
  rest = sorted(name for name in found if name not in first)
  return {name: found[name] for name in [*first, *rest][:PANELS]}


def draw(shown: Mapping[str, Mapping[str, list]]) -> str:
  """Draw curves as SVG, a panel each."""
  across = min(3, len(shown))
  down = -(-len(shown) // across)
  figure = Figure(figsize=(4 * across, 2.7 * down), layout="constrained")
  panels = list(figure.subplots(down, across, squeeze=False).flat)
  for axes, (name, splits) in zip(panels, shown.items(), strict=False):
    for split, points in splits.items():
      axes.plot(*zip(*points, strict=True), color=COLOURS[split], marker=".")
    axes.set_title(name.replace("_", " "), fontsize=11)
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
  for axes in panels[len(shown) :]:
    axes.set_axis_off()
  buffer = io.StringIO()
  figure.savefig(buffer, format="svg", metadata={"Date": None})
  return buffer.getvalue()


def legend(shown: Mapping[str, Mapping[str, list]]) -> list[tuple[str, str]]:
  """Return (words, colour) of the splits that curves have."""
  there = {split for splits in shown.values() for split in splits}
  return [(SPLITS[name], COLOURS[name]) for name in SPLITS if name in there]


def load_rows(opened: Opened) -> list[dict[str, Any]]:
  """Return the rows of a run's metrics.jsonl, none where it has no such."""
  if not (opened.run.folder / "metrics.jsonl").exists():
    return []
  return read_metrics(opened.run.folder)


def scores(opened: Opened) -> str | None:
  """Return the run's scores and its control table as text, None without."""
  found = score.load_known(opened.run)
  return None if found is None else score_text.table(found)


def settings(opened: Opened) -> str:
  """Return the run's config as JSON; where its data lie is left out."""
  config = json.loads(opened.run.config.to_json_best_effort())
  if isinstance(config.get("data"), dict):
    config["data"].pop("path", None)
  return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
