"""Measure how similar a run's images are to real ones, by a frozen VGG16.

Samples are drawn under the conditions of held-out images and judged by
collapse.Held. Reconstructions are compared with their images by LPIPS.
"""

import functools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from cvae_jax.data import Dataset
from cvae_jax.data.files import vgg_files
from cvae_jax.host.images import to_bytes
from cvae_jax.loop import batches
from cvae_jax.measures import kept
from cvae_jax.measures.collapse import Held
from cvae_jax.metrics import perceptual
from cvae_jax.runs import Run

IMAGES = 1000  # held-out images that are used, or all
PAIRS = 256  # of them beside their reconstructions
DIRECTIONS = 256  # of the sliced distance


class _Yardstick:
  """What every run is compared with; it is computed once, when needed."""

  def __init__(self, dataset: Dataset, count: int):
    weights, heads = vgg_files.lpips()
    rule = SimpleNamespace(
      images=count, sliced=0, frechet=0, directions=DIRECTIONS
    )
    self.held = Held(dataset, rule, perceptual.make_embedding(weights))
    self.lpips = perceptual.lpips(weights, heads)

  def measure(self, run: Run, seed: int) -> dict[str, Any]:
    """Return what `measure` returns, less the protocol."""
    image = self.held.image
    condition = self.held.condition
    rows = batches.spread(len(image), PAIRS)
    shown = image[rows]
    given = condition[rows]
    again = run.edit(shown, given, given)
    distances = self.lpips(shown / np.float32(255), again)
    return {
      "lpips": float(distances.mean()),
      **self.held.judge(to_bytes(run.sample(condition, seed))),
      "floor": self.held.floor,
    }


def measure(runs: Sequence[Run], dataset: Dataset, seed: int = 0) -> list:
  """Measure runs of the same data, if their measures.json has no figures yet.

  Returns:
    For each run protocol; lpips, the mean distance of an image and its
    reconstruction from the posterior's mean; what Held.judge says of samples;
    floor: the distances of training images.

  Raises:
    DataError: VGG16's weights are not there; it says where to get them.
  """
  count = min(IMAGES, *(len(s["image"]) for s in (dataset.train, dataset.test)))
  yardstick = functools.cache(lambda: _Yardstick(dataset, count))
  return [
    kept.measure_once(
      run,
      "likeness",
      {
        "images": count,
        "seed": seed,
        "measures": ["frechet", "kid", "intervals"],
        "pairs": "spread evenly",  # older releases took the first
      },
      lambda run=run: yardstick().measure(run, seed),
    )
    for run in runs
  ]
