"""Measure how varied a run's images are beside real ones, and its latents."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run import posteriors
from cvae_jax.measures import kept
from cvae_jax.metrics import diversity
from cvae_jax.runs import Run

IMAGES = 512  # of the held-out ones, drawn by the seed
SAMPLES = 64  # for each setting of the conditions' panel


def measure(
  run: Run, test: Mapping[str, NDArray], seed: int = 0
) -> dict[str, Any]:
  """Compare samples and reconstructions with held-out images.

  If the run's measures.json has them by the same protocol, they are read.

  Args:
    test: image uint8 [N, H, W, C] and condition [N, A].

  Returns:
    protocol; distances: see metrics.diversity.compare; latents: see
    metrics.latents.usage.
  """
  count = min(IMAGES, len(test["image"]))
  protocol = {"images": count, "samples": SAMPLES, "seed": seed}
  return kept.measure_once(
    run, "variety", protocol, lambda: _measure(run, test, count, seed)
  )


def _measure(run: Run, test, count: int, seed: int) -> dict[str, Any]:
  generator = np.random.default_rng(seed)
  rows = np.sort(generator.choice(len(test["image"]), count, replace=False))
  image = test["image"][rows]
  condition = test["condition"][rows]
  q = run.encode(image, condition)
  settings = run.conditions.panel()
  return {
    "distances": diversity.compare(
      real=image,
      reconstructed=run.decode(q.mean, condition),
      sampled=_draw(run, condition, seed),
      # The same latents under each setting.
      sets=[_draw(run, np.tile(one, (SAMPLES, 1)), seed) for one in settings],
    ),
    "latents": posteriors.measure_usage(run, image, condition, q),
  }


def _draw(run: Run, condition: NDArray, seed: int) -> NDArray:
  """Decode latents of the prior; values are as the decoder gives them."""
  z = run.prior(len(condition), seed, condition)
  return run.decode(z, condition)
