"""The latents of the page, and those that change a picture most."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run import effects
from cvae_jax.runs import Run

DRAWS = 200  # latents that a page holds: run.prior(200, seed=0)
SHOWN = 8  # latents that have a slider


def draws(run: Run) -> tuple[NDArray[np.float32], list[int] | None]:
  """Return the latents [DRAWS, Z] of a page, and their classes, or None.

  They are those of `run.prior(DRAWS)`. If each class has a region of the
  prior, they are those of `run.regions(DRAWS)`.
  """
  if run.system.regions is None:
    return np.asarray(run.prior(DRAWS), np.float32), None
  z, label = run.regions(DRAWS)
  return np.asarray(z, np.float32), label.tolist()


def strongest(run: Run, z: NDArray, condition: NDArray) -> list[dict[str, Any]]:
  """Return the latents that change a picture most, the strongest first.

  Args:
    run: the run.
    z: draws [N, Z].
    condition: [A], under which the pictures are decoded.

  Returns:
    [{index, low, high}], at most SHOWN, without those of no effect; low and
    high are the slider's ends. See `cvae_jax.loop.run.effects`.
  """
  found = effects.measure(run.guided, z, condition)
  ends = effects.latent_ranges(z)
  return [
    {"index": i, "low": float(ends[i, 0]), "high": float(ends[i, 1])}
    for i in effects.order(found)[:SHOWN]
    if found[i] > 0
  ]
