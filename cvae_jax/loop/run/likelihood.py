"""How likely a run finds images, image by image."""

import math
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.arguments import RunError
from cvae_jax.host.images import unit
from cvae_jax.loop import keys
from cvae_jax.loop.run import purposes
from cvae_jax.loop.run.restored import VALUES
from cvae_jax.metrics import bounds


def bound(
  run: Any, images: NDArray, condition: NDArray, samples: int, seed: int
) -> NDArray[np.float32]:
  """Return the importance-weighted bound of each image, [B]; see Run.

  Args:
    run: a restored run.
    images: [B, H, W, C], checked.
    condition: [B, A], checked.
    samples: k.
    seed: of the draws of z.

  Raises:
    RunError: the system has no likelihood, or there are no samples.
  """
  if not run.system.nats or "image" not in run.system.columns:
    raise RunError(
      f"{run.folder}: a {run.config.system} has no likelihood of images; "
      + purposes.purpose(run)
    )
  if samples < 1:
    raise RunError(f"samples is 1 or more; found {samples}")
  values = samples * math.prod(images.shape[1:])
  few = max(1, min(len(images), VALUES // values))
  compute = jax.jit(
    bounds.make_bound(run.system, samples, max(1, VALUES * samples // values))
  )
  key = keys.address(seed, "evaluate")
  found = []
  for first in range(0, len(images), few):
    rows = np.arange(first, first + few) % len(images)  # all parts of one size
    part = {
      "image": 255.0 * unit(images[rows]),  # a batch counts to 255
      "condition": condition[rows],
    }
    nats = compute(run.state, part, jax.random.fold_in(key, first))["iw_bound"]
    found.append(np.asarray(nats))
  return np.concatenate([*found, np.zeros(0, np.float32)])[: len(images)]
