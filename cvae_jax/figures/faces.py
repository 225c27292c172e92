"""The faces' figures: the source's 54 settings (spec §5), sweeps, prior."""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.runs import Run

# The source's test settings; its training range of hair and eyes begins at ½.
HAIR, MOUTH, EYES = (0.5, 0.8, 1.0), (0.0, 0.5, 1.0), (0.5, 0.8, 1.0)


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Gives each figure's images [R, P, H, W, C]."""
  return {
    "settings": settings(run, seed),
    "sweeps": sweeps(run, seed),
    "prior": prior(run, seed),
  }


def settings(run: Run, seed: int = 0) -> NDArray:
  """Draws gender × hair [6 rows] by mouth × eyes [9], all of one latent."""
  values = np.array(list(itertools.product((1.0, 0.0), HAIR, MOUTH, EYES)))
  names = ("male", "hair_color", "mouth", "eyes")
  condition = run.conditions.encode(dict(zip(names, values.T, strict=True)))
  z = np.tile(run.prior(1, seed), (len(condition), 1))
  images = run.decode(z, condition)
  return images.reshape(6, 9, *images.shape[1:])


def sweeps(run: Run, seed: int = 0, steps: int = 9) -> NDArray:
  """Moves one condition a row over its range, latent and others held."""
  conditions = run.conditions
  middle = dict(
    zip(conditions.names, (q[1] for q in conditions.quantiles), strict=True)
  )
  z, rows = np.tile(run.prior(1, seed), (steps, 1)), []
  for name, (low, high) in zip(
    conditions.names, conditions.ranges, strict=True
  ):
    if name == "female":  # it moves with male
      continue
    chosen = middle | {name: np.linspace(low, high, steps)}
    if "male" in chosen:
      chosen.pop("female", None)
    rows.append(run.decode(z, conditions.encode(chosen)))
  return np.stack(rows)


def prior(run: Run, seed: int = 0, rows: int = 6) -> NDArray:
  """Draws latents at random under the training-time panel: [rows, P, …]."""
  panel = run.conditions.panel()
  images = run.sample(np.tile(panel, (rows, 1)), seed)
  return images.reshape(rows, len(panel), *images.shape[1:])
