"""A generator's figures: random samples and ways between them.

Its images take no condition.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run.walks import arc
from cvae_jax.runs import Run

STEPS = 9


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C]."""
  return {"prior": prior(run, seed), "interpolation": interpolation(run, seed)}


def prior(run: Run, seed: int = 0, side: int = 8) -> NDArray:
  """Draw z ~ N(0, I): [side, side, …]."""
  images = decode(run, run.prior(side**2, seed))
  return images.reshape(side, side, *images.shape[1:])


def interpolation(run: Run, seed: int = 0, rows: int = 6) -> NDArray:
  """Walk between two draws of the prior in each row."""
  ends = run.prior(2 * rows, seed).reshape(rows, 2, -1)
  return np.stack([decode(run, arc(a, b, STEPS)) for a, b in ends])


def decode(run: Run, z: NDArray) -> NDArray:
  """Return the images of z [N, Z]: [N, H, W, C]."""
  return run.decode(z, np.zeros((len(z), 0)))
