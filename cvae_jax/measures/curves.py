"""Draw the losses of several runs by epoch, in one figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cvae_jax.loop.folder.folders import Folder
from cvae_jax.loop.folder.rows import losses as losses_of
from cvae_jax.measures import verify

PANELS = {
  "epoch": "training loss",
  "valid": "validation loss",
  "test": "test loss",
}


def figure(groups: Mapping[str, Sequence[Folder]]) -> Figure:
  """Draw the losses of groups of runs over each other.

  A line is the mean of a group, with a band of one sample standard deviation.
  The published curve that a config names is dashed. The axis is logarithmic
  if all losses are above 0.

  Args:
    groups: runs by their label; one or more each.
  """
  split = [name for name in PANELS if _has(groups, name)]
  drawn = Figure(figsize=(5.5 * len(split), 4), layout="constrained")
  panels = drawn.subplots(1, len(split), squeeze=False)[0]
  for axes, name in zip(panels, split, strict=True):
    lows = []
    for index, (label, runs) in enumerate(groups.items()):
      losses = [losses_of(run.rows, name) for run in runs]
      if any(losses):
        lows.append(_draw(axes, label, losses, f"C{index % 10}"))
      if name == "epoch":
        lows += _draw_published(axes, runs, f"C{index % 10}")
    axes.set(xlabel="epoch", title=PANELS[name])
    if min(lows) > 0:
      axes.set(yscale="log")
  panels[0].legend(fontsize="small")
  return drawn


def panels(runs: Mapping[str, Folder]) -> Figure:
  """Draw each run's training loss in a panel, over its published curve."""
  across = min(5, len(runs))
  down = -(-len(runs) // across)
  size = (3 * across, 2.4 * down)
  drawn = Figure(figsize=size, layout="constrained")
  grid = list(drawn.subplots(down, across, squeeze=False).flat)
  for axes, (name, run) in zip(grid, runs.items(), strict=False):
    curve = verify.curve(run.config)
    axes.plot(list(curve), list(curve.values()), "-", label="published")
    ours = losses_of(run.rows, "epoch")
    axes.plot(list(ours), list(ours.values()), "--", label="ours")
    axes.set(title=name, yscale="log")
  for empty in grid[len(runs) :]:
    empty.set_axis_off()
  grid[0].legend()
  return drawn


def _has(groups: Mapping[str, Sequence[Folder]], split: str) -> bool:
  return any(
    losses_of(run.rows, split) for runs in groups.values() for run in runs
  )


def _draw(axes: Axes, label: str, losses: list[dict], colour: str) -> float:
  """Draw the mean of losses by epoch and its band; return the least value."""
  epochs = sorted({epoch for one in losses for epoch in one})
  known = [[one[e] for one in losses if e in one] for e in epochs]
  mean = np.array([np.mean(values) for values in known])
  axes.plot(epochs, mean, label=label, color=colour)
  low = mean
  if len(losses) > 1:
    width = _deviations(known)
    low = mean - width
    axes.fill_between(epochs, low, mean + width, color=colour, alpha=0.2, lw=0)
  return float(low.min())


def _deviations(known: list[list[float]]) -> NDArray:
  return np.array([np.std(v, ddof=1) if len(v) > 1 else 0.0 for v in known])


def _draw_published(axes: Axes, runs: Sequence[Folder], colour: str) -> list:
  """Draw the curve that a group's config names; return its least value."""
  curve = verify.curve(runs[0].config)
  if not curve:
    return []
  axes.plot(list(curve), list(curve.values()), "--", color=colour)
  return [min(curve.values())]
