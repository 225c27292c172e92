"""The DFC-VAE's figures: the source's random samples."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.runs import Run


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C]."""
  return {"prior": prior(run, seed)}


def prior(run: Run, seed: int = 0, side: int = 10) -> NDArray:
  """Draw z ~ N(0, I): [side, side, …]; the network takes no condition."""
  images = run.sample(np.zeros((side**2, 1)), seed)
  return images.reshape(side, side, *images.shape[1:])
