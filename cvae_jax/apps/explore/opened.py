"""A run opened for the explorer: what it can do, and which latents matter."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax import runs
from cvae_jax.runs import Run, RunError

COUNT = 9  # draws of one request: the large picture and eight beside it
SLIDERS = 8  # latents that are shown, the most active first
DECODES = 512  # pictures from which the activity is measured, at most
DRAWS = 400  # draws of the prior that give each latent its span
SPAN = 3.0  # standard deviations to each side


@dataclasses.dataclass(frozen=True)
class Opened:
  """A run, its name on the page, and its latents.

  `activity` [Z] is by how much the picture changes, on average over pixels
  and draws, when one latent moves by a standard deviation of the prior.
  `spans` [Z, 2] is the low and the high end of each latent.
  """

  run: Run
  name: str
  activity: NDArray
  spans: NDArray
  reads_condition: bool

  @property
  def latents(self) -> list[int]:
    """Return the numbers of the most active latents, the first moves most."""
    order = np.argsort(-self.activity, kind="stable")
    return order[:SLIDERS].tolist()

  @property
  def attributes(self) -> tuple[Any, ...]:
    """Return the conditions that the run can be asked for."""
    found = getattr(self.run.conditions, "attributes", ())
    return tuple(found) if self.reads_condition else ()

  @property
  def unknowns(self) -> bool:
    """Tell whether a condition may be unknown."""
    return bool(getattr(self.run.conditions, "known_bits", False))

  @property
  def colours(self) -> bool:
    """Tell whether the run colours photos instead of drawing samples."""
    return self.run.config.system == "colouring"

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
  return opened(run, _name(Path(folder), taken))


def opened(run: Run, name: str) -> Opened:
  """Return a loaded run as the explorer needs it; see `open_run`."""
  if run.system.decode is None:
    raise RunError(
      f"{run.folder}: its system, {run.config.system!r}, draws no images, so "
      "there is nothing to explore; give a run that can be sampled"
    )
  if "image" not in run.system.columns:
    return Opened(run, name, np.zeros(0), np.zeros((0, 2)), False)
  z = run.prior(DRAWS)
  spans = _spans(z)
  activity = _activity(run, z)
  return Opened(run, name, activity, spans, _reads_condition(run, z))


def condition_of(run: Run) -> NDArray[np.float32]:
  """Return a condition [1, A] that the run takes: the panel's middle one."""
  if getattr(run.conditions, "attributes", ()):
    panel = run.conditions.panel()
    return panel[len(panel) // 2][None]
  return run.request(count=1).vectors


def _name(folder: Path, taken: tuple[str, ...]) -> str:
  """Return a folder's last part; with a number where that is taken."""
  base = folder.resolve().name or "run"
  name = base
  number = 2
  while name in taken:
    name = f"{base} {number}"
    number += 1
  return name


def _spans(z: NDArray) -> NDArray:
  """Return low and high of each latent [Z, 2], from draws of the prior."""
  middle = z.mean(axis=0)
  reach = SPAN * np.maximum(z.std(axis=0), 1e-3)
  # A prior with edges, as a uniform one, is not left by much.
  edge = 0.25 * np.ptp(z, axis=0)
  low = np.maximum(middle - reach, z.min(axis=0) - edge)
  high = np.minimum(middle + reach, z.max(axis=0) + edge)
  ends = np.stack([low, high], axis=1).astype(np.float64)
  return np.where(ends < 0, np.floor(ends * 10), np.ceil(ends * 10)) / 10


def _activity(run: Run, z: NDArray) -> NDArray:
  """Return how much each latent moves the picture: [Z]."""
  latents = z.shape[1]
  draws = max(1, min(8, DECODES // (latents + 1)))
  deviation = z.std(axis=0)
  base = z[:draws]
  moved = np.repeat(base[None], latents, axis=0)
  for latent in range(latents):
    moved[latent, :, latent] += deviation[latent]
  every = np.concatenate([base[None], moved]).reshape(-1, latents)
  images = np.clip(run.decode(every, condition_of(run)), 0, 1)
  images = images.reshape(1 + latents, draws, -1)
  return np.abs(images[1:] - images[:1]).mean(axis=(1, 2))


def _reads_condition(run: Run, z: NDArray) -> bool:
  """Tell whether another condition gives another picture."""
  if not getattr(run.conditions, "attributes", ()):
    return False
  if "condition" not in run.system.columns:
    return False
  # As many as are drawn later, so that the decoder is compiled for them.
  panel = run.conditions.panel()
  panel = np.resize(panel, (COUNT, panel.shape[1]))
  images = run.decode(np.repeat(z[:1], COUNT, axis=0), panel)
  return bool(np.ptp(images, axis=0).max() > 0)
