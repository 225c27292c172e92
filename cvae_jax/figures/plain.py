"""Figures for any run: what can be drawn without knowing its data."""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run import walks
from cvae_jax.runs import Run

ROWS = 8
STEPS = 10


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Draw samples under the settings of the panel, and walks between latents.

  Returns:
    {figure: images [R, P, H, W, C]}: `conditions`, a latent a row and a
    setting a column, and `interpolation`, from one latent to the next in each
    row.

  Raises:
    RunError: the system cannot decode.
  """
  panel = run.conditions.panel()
  settings = np.tile(panel, (ROWS, 1))
  rows = run.prior(len(settings), seed, settings, shared=len(panel))
  drawn = run.guided(rows, settings)
  z = run.prior(ROWS, seed, np.repeat(panel[:1], ROWS, axis=0))
  shape = drawn.shape[1:]
  pairs = itertools.pairwise([*z, z[0]])
  walked = np.concatenate([walks.arc(a, b, STEPS) for a, b in pairs])
  setting = np.repeat(panel[:1], len(walked), axis=0)
  return {
    "conditions": drawn.reshape(ROWS, len(panel), *shape),
    "interpolation": run.guided(walked, setting).reshape(ROWS, STEPS, *shape),
  }
