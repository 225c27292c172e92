"""Measures how like real images a run's own are, as a frozen VGG16 sees them.

Held-out images beside as many samples, under the same conditions, and beside
their reconstructions. The Fréchet distance is of VGG16's features, so it is
no FID; precision and recall are of the same features.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import Dataset, vgg_files
from cvae_jax.files import write_atomically
from cvae_jax.images import to_bytes
from cvae_jax.metrics import frechet, manifold, perceptual, sliced
from cvae_jax.runs import Run

FILE = "likeness.json"  # in a run's folder
IMAGES = 1000  # of the held-out ones, drawn by the seed, or all
PAIRS = 256  # of them beside their reconstructions

Values = dict[str, Any]


class _Yardstick(NamedTuple):
  """What every run is held against; costly, so made once."""

  image: NDArray  # uint8 [N, H, W, 3], held out
  condition: NDArray  # [N, A]
  features: NDArray  # [N, D], of the same
  floor: Mapping[str, float]  # distances of as many training images
  embed: Any
  lpips: Any


def measure(runs: Sequence[Run], dataset: Dataset, seed: int = 0) -> list:
  """Measures runs of the same data; what is known is in their likeness.json.

  Returns:
    For each run protocol; lpips, the mean distance of an image and its
    reconstruction from the posterior's mean; frechet, sliced, precision and
    recall of samples; floor: frechet and sliced of training images.

  Raises:
    DataError: VGG16's weights are not there; it says where to get them.
  """
  count = min(IMAGES, *(len(s["image"]) for s in (dataset.train, dataset.test)))
  found, yardstick = [], None
  for run in runs:
    step = int(run.state.step)
    protocol = {"step": step, "images": count, "seed": seed}
    path = run.folder / FILE
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("protocol") != protocol:
      yardstick = yardstick or _yardstick(dataset, count, seed)
      known = {"protocol": protocol, **_measure(run, yardstick, seed)}
      write_atomically(path, json.dumps(known, indent=2) + "\n")
    found.append(known)
  return found


def _yardstick(dataset: Dataset, count: int, seed: int) -> _Yardstick:
  weights, heads = vgg_files.lpips()
  embed = perceptual.embedding(weights)
  image, condition = _drawn(dataset.test, count, seed)
  features, (others, _) = embed(image), _drawn(dataset.train, count, seed)
  floor = _distances(image, features, others, embed(others), seed)
  lpips = perceptual.lpips(weights, heads)
  return _Yardstick(image, condition, features, floor, embed, lpips)


def _drawn(split: Mapping, count: int, seed: int) -> tuple[NDArray, NDArray]:
  generator = np.random.default_rng(seed)
  rows = generator.choice(len(split["image"]), count, replace=False)
  rows.sort()  # of memory-mapped images
  return np.asarray(split["image"][rows]), split["condition"][rows]


def _measure(run: Run, real: _Yardstick, seed: int) -> Values:
  few = slice(min(PAIRS, len(real.image)))
  again = run.edit(*(x[few] for x in (real.image, *[real.condition] * 2)))
  samples = to_bytes(run.sample(real.condition, seed))  # as real ones are
  seen = real.embed(samples)
  return {
    "lpips": float(real.lpips(real.image[few] / np.float32(255), again).mean()),
    **_distances(real.image, real.features, samples, seen, seed),
    **manifold.precision_recall(real.features, seen),
    "floor": real.floor,
  }


def _distances(image, features, others, seen, seed: int) -> dict[str, float]:
  """Gives the distances of two sets of images and their features."""
  moments = (frechet.moments([x]) for x in (features, seen))
  return {
    "frechet": frechet.distance(*moments),
    "sliced": sliced.distance(image, others, seed=seed),
  }
