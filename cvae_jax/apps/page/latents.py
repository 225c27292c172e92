"""Latents that the page draws from, and which of them change a picture most."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.runs import Run

DRAWS = 200  # latents that a page holds: run.prior(200, seed=0)
SHOWN = 8  # latents that have a slider
_PROBES = 4  # draws at which a latent's effect is measured


def draws(run: Run) -> tuple[NDArray[np.float32], list[int] | None]:
  """Return the latents [DRAWS, Z] of a page, and their classes, or None.

  They are those of `run.prior(DRAWS)`; where the prior gives each class a
  place, those of `run.regions(DRAWS)`.
  """
  if run.system.regions is None:
    return np.asarray(run.prior(DRAWS), np.float32), None
  z, label = run.regions(DRAWS)
  return np.asarray(z, np.float32), label.tolist()


def strongest(run: Run, z: NDArray, condition: NDArray) -> list[dict[str, Any]]:
  """Return the latents that change a picture most, the strongest first.

  Each is moved from two deviations below its mean to two above it, in a few
  draws; its effect is the mean absolute change of a pixel.

  Args:
    run: the run.
    z: draws [N, Z].
    condition: [A], under which the pictures are decoded.

  Returns:
    [{index, low, high}], at most SHOWN; low and high are the slider's ends.
  """
  mean = z.mean(axis=0)
  spread = z.std(axis=0)
  base = z[:_PROBES]
  count, latents = base.shape
  ends = []
  for side in (-2.0, 2.0):
    moved = np.repeat(base, latents, axis=0).reshape(count, latents, latents)
    each = np.arange(latents)
    moved[:, each, each] = mean + side * spread
    moved = moved.reshape(-1, latents)
    rows = np.repeat(condition[None], len(moved), axis=0)
    ends.append(run.guided(moved, rows))
  change = np.abs(ends[1] - ends[0]).reshape(count, latents, -1)
  effect = change.mean(axis=(0, 2))
  order = np.argsort(-effect, kind="stable")[:SHOWN]
  return [
    {
      "index": int(i),
      "low": round(float(mean[i] - 3 * spread[i]), 2),
      "high": round(float(mean[i] + 3 * spread[i]), 2),
    }
    for i in order
    if effect[i] > 0 and spread[i] > 0
  ]
