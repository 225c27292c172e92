"""The digits' figures: the source's two (spec §6), prior, interpolation."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.figures import Captions
from cvae_jax.figures.walks import arc
from cvae_jax.runs import Run


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Gives each figure's images [R, P, H, W, C]."""
  return {
    "classes": classes(run, seed),
    "styles": styles(run, seed),
    "prior": prior(run, seed),
    "interpolation": interpolation(run, seed),
  }


def captions(run: Run) -> dict[str, Captions]:
  """Gives what stands left of the rows and above the columns."""
  labels = [f"{label}" for label in range(run.conditions.classes)]
  inks = [f"ink {ink:g}" for ink in inks_of(run)]
  return {
    "classes": ((), labels),
    "styles": (inks * 4, labels),
  }


def classes(run: Run, seed: int = 0) -> NDArray:
  """Draws each class at half ink with a z of its own: [1, 10, …]."""
  condition = run.conditions.encode(np.arange(run.conditions.classes), ink=0.5)
  return run.sample(condition, seed)[None]


def styles(run: Run, seed: int = 0, latents: int = 4) -> NDArray:
  """Draws class × latent × ink: [3 · latents, 10, …].

  A row is one style: all its classes share z. Three rows in turn share it
  too and differ in ink, from average to bold (thin to bold by the source's
  own values for model 1).
  """
  inks = inks_of(run)
  z = run.prior(latents, seed)
  rows = [_row(run, style, ink) for style in z for ink in inks]
  return np.stack(rows)


def inks_of(run: Run) -> tuple[float, ...]:
  """Gives the three ink conditions that the source's pictures show."""
  return (0.1, 0.5, 0.9) if run.conditions.ink == "global" else (0.0, 0.5, 1.0)


def prior(run: Run, seed: int = 0, rows: int = 10) -> NDArray:
  """Draws class, ink and z at random: [rows, 10, …]."""
  generator = np.random.default_rng(seed)
  count = rows * run.conditions.classes
  condition = run.conditions.encode(
    generator.integers(run.conditions.classes, size=count),
    generator.uniform(*run.conditions.limits, size=count),
  )
  images = run.sample(condition, seed + 1)
  return images.reshape(rows, run.conditions.classes, *images.shape[1:])


def interpolation(run: Run, seed: int = 0, steps: int = 10) -> NDArray:
  """Walks between two latents, one class a row: [10, steps, …].

  Along the sphere, so that each point is as likely under the prior.
  """
  ends = run.prior(2 * run.conditions.classes, seed)
  ends = ends.reshape(-1, 2, run.system.latents)
  rows = [
    run.decode(
      arc(a, b, steps), run.conditions.encode(np.full(steps, label), ink=0.5)
    )
    for label, (a, b) in enumerate(ends)
  ]
  return np.stack(rows)


def _row(run: Run, z: NDArray, ink: float) -> NDArray:
  condition = run.conditions.encode(np.arange(run.conditions.classes), ink)
  return run.decode(np.tile(z, (run.conditions.classes, 1)), condition)
