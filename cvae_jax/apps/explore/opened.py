"""A run opened for the explorer: what it can do, and which latents matter."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import runs
from cvae_jax.apps import editing
from cvae_jax.loop.run import effects
from cvae_jax.loop.run.purposes import colours, purpose
from cvae_jax.runs import Run, RunError

COUNT = 9  # draws of one request: the large picture and eight beside it
SLIDERS = 8  # latents that are shown, the greatest effect first


@dataclasses.dataclass(frozen=True)
class Opened:
  """A run, its name on the page, and its latents.

  `effects` [Z] is by how much each latent changes the picture, and `spans`
  [Z, 2] its low and its high end; see `cvae_jax.loop.run.effects`.
  """

  run: Run
  name: str
  effects: NDArray
  spans: NDArray
  reads_condition: bool

  @property
  def latents(self) -> list[int]:
    """Return the numbers of the latents with the greatest effects."""
    return effects.order(self.effects)[:SLIDERS]

  @property
  def attributes(self) -> tuple[Any, ...]:
    """Return the conditions that the run can be asked for."""
    return editing.attributes(self.run) if self.reads_condition else ()

  @property
  def all_unknown(self) -> dict[str, None] | None:
    """Return values that say nothing; None where one has to be known."""
    names = [attribute.name for attribute in self.attributes]
    free = set(names) <= set(self.run.unknowns)
    return dict.fromkeys(names) if free else None

  @property
  def colours(self) -> bool:
    """Tell whether the run colours photos instead of drawing samples."""
    return colours(self.run)

  @property
  def reads_photos(self) -> bool:
    """Tell whether the run encodes images."""
    return self.run.system.encode is not None

  @property
  def shape(self) -> tuple[int, int, int]:
    """Return (H, W, C) of its images."""
    return tuple(self.run.system.columns["image"])


def open_run(folder: str | Path, taken: tuple[str, ...] = ()) -> Opened:
  """Load a run for the explorer, with its decoder compiled.

  Args:
    folder: as of `runs.load`.
    taken: names that other runs have on the page.

  Raises:
    RunError: the folder is no run, or the run can draw nothing.
  """
  run = runs.load(folder)
  return from_run(run, _name(Path(folder), taken))


def from_run(run: Run, name: str) -> Opened:
  """Return a loaded run as the explorer needs it; see `open_run`."""
  if run.system.decode is None:
    raise RunError(
      f"{run.folder} draws no images, so there is nothing to explore; "
      + purpose(run)
    )
  if "image" not in run.system.columns:
    return Opened(run, name, np.zeros(0), np.zeros((0, 2)), False)
  z = run.prior(effects.DRAWS)
  found = effects.measure(run.guided, z, example_condition(run)[0])
  spans = effects.latent_ranges(z)
  return Opened(run, name, found, spans, _reads_condition(run, z))


def example_condition(run: Run) -> NDArray[np.float32]:
  """Return a condition [1, A] that the run takes: the panel's middle one."""
  if getattr(run.conditions, "attributes", ()):
    panel = run.conditions.panel()
    return panel[len(panel) // 2][None]
  return run.request({}, 1).vectors


def _name(folder: Path, taken: tuple[str, ...]) -> str:
  """Return the last part of a folder or a name; numbered where it is taken."""
  base = folder.resolve().name or "run"
  name = base
  number = 2
  while name in taken:
    name = f"{base} {number}"
    number += 1
  return name


def _reads_condition(run: Run, z: NDArray) -> bool:
  """Tell whether another condition gives another picture."""
  if not getattr(run.conditions, "attributes", ()):
    return False
  if "condition" not in run.system.columns:
    return False
  # COUNT images, as in all requests, so that the decoder is compiled for them.
  panel = run.conditions.panel()
  panel = np.resize(panel, (COUNT, panel.shape[1]))
  images = run.decode(np.repeat(z[:1], COUNT, axis=0), panel)
  return bool(np.ptp(images, axis=0).max() > 0)
