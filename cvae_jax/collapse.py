"""Measures two kinds of collapse apart, and what samples are worth.

Of the posterior: codes say nothing, so all reconstructions are one picture.
Of the modes: samples repeat, whatever the codes. Neither implies the other,
and a generator without an encoder can only have the second.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax import data, distances
from cvae_jax.distances import Embed
from cvae_jax.files import write_atomically
from cvae_jax.images import averaged, to_bytes
from cvae_jax.metrics import diversity, frechet, latents, manifold, sliced
from cvae_jax.runs import Run

IMAGES = 2000  # of each set, fewer where fewer are held out
PAIRED = 512  # of them whose distances are taken of all pairs, at full size
FITTED = 10_000  # training images, at most, whose codes are fitted
PIXELS, FEATURES = 32, 64  # averaged sides where config.distance has none


def measure(
  run: Run, dataset: data.Dataset, embed: Embed | None = None, seed: int = 0
) -> dict[str, Any]:
  """Measures a run that decodes, beside its data's held-out images.

  What was measured by the same protocol is read from the run's collapse.json.

  Args:
    dataset: the run's, with a test split.
    embed: of distances.embedding; without it there is no Fréchet distance,
      and neighbours are pixels'.

  Returns:
    protocol; real: the images' mean distance, and the distances of as many
      training images from them, the floor;
    posterior: active, of, kl (nats; None where codes are points), ratio (mean
      distance of reconstructions over that of their images), error; None
      without an encoder;
    samples: of z from the `prior` and, with an encoder, from a Gaussian
      `fitted` to training codes: ratio, near_duplicates, precision, recall
      and distances.
  """
  count = min(IMAGES, len(dataset.test["image"]), len(dataset.train["image"]))
  rule = _rule(run)
  protocol = {
    "step": int(run.state.step),
    "images": count,
    "paired": min(PAIRED, count),
    "seed": seed,
    "sliced_side": rule.sliced,
    "frechet_side": rule.frechet if embed else None,
    "neighbours": "VGG16 features" if embed else "pixels",
  }
  path = run.folder / "collapse.json"
  if path.exists():
    known = json.loads(path.read_text())
    if known["protocol"] == protocol:
      return known
  found = _measure(run, dataset, embed, rule, count, seed)
  found = {"protocol": protocol, **found}
  write_atomically(path, json.dumps(found, indent=2) + "\n")
  return found


def fitted(
  run: Run, dataset: data.Dataset, count: int, seed: int = 0
) -> NDArray[np.float32]:
  """Draws z [count, Z] from a Gaussian fitted to the training images' codes.

  Codes are posterior means. With fewer images than latents the Gaussian is
  flat in the directions that no code shows.
  """
  rows = np.arange(min(FITTED, len(dataset.train["image"])))
  codes = run.encode(
    dataset.train["image"][rows], distances.conditions(dataset.train, rows)
  ).mean.astype(np.float64)
  mean, (values, vectors) = codes.mean(0), np.linalg.eigh(np.cov(codes.T))
  noise = np.random.default_rng(seed).standard_normal((count, len(mean)))
  spread = noise * np.sqrt(values.clip(min=0.0))
  return (mean + spread @ vectors.T).astype(np.float32)


def _rule(run: Run) -> ConfigDict:
  """Gives config.distance with both sides set; they divide the images'."""
  rule, size = run.config.distance, run.system.columns["image"][0]
  return ConfigDict(
    {
      "sliced": rule.sliced or _divisor(size, PIXELS),
      "frechet": rule.frechet or _divisor(size, FEATURES),
      "directions": rule.directions,
    }
  )


def _divisor(size: int, side: int) -> int:
  """Gives the largest side up to `side` that images can be averaged down to."""
  return max(n for n in range(1, min(size, side) + 1) if size % n == 0)


def _measure(run: Run, dataset, embed, rule, count: int, seed: int):
  rows = distances.chosen(len(dataset.test["image"]), count)
  image = dataset.test["image"][rows]
  condition = distances.conditions(dataset.test, rows)
  others = distances.chosen(len(dataset.train["image"]), count)
  real, floor = (
    _see(images, rule, embed)
    for images in (image, dataset.train["image"][others])
  )
  variety = diversity.mean_distance(image[:PAIRED])
  latent, posterior = {"prior": run.prior(count, seed)}, None
  if run.system.encode:
    latent["fitted"] = fitted(run, dataset, count, seed)
    posterior = _posterior(run, image, condition, variety)
  samples = {}
  for name, z in latent.items():
    images = _decoded(run, z, condition)
    seen = _see(images, rule, embed)
    samples[name] = {
      "ratio": diversity.mean_distance(images[:PAIRED]) / variety,
      "near_duplicates": manifold.near_duplicates(real.points, seen.points),
      **manifold.precision_recall(real.points, seen.points),
      **distances.between(seen.summary, real.summary),
    }
  return {
    "real": {
      "distance": variety,
      **distances.between(floor.summary, real.summary),
    },
    "posterior": posterior,
    "samples": samples,
  }


class _Seen(NamedTuple):
  """A set of images as its neighbours and distances are taken."""

  points: NDArray  # [N, D]
  summary: distances.Summary


def _see(images: NDArray, rule: ConfigDict, embed: Embed | None) -> _Seen:
  """Looks at images [N, ...]: at their features, or without them at pixels."""
  pixels = averaged(images, rule.sliced)
  quantiles = sliced.quantiles(pixels, rule.directions)
  if embed is None:
    points = pixels.reshape(len(images), -1)
    return _Seen(points, distances.Summary(quantiles, None))
  points = np.concatenate(
    [embed(averaged(part, rule.frechet)) for part in _parts(images)]
  )
  moments = frechet.moments([points])
  return _Seen(points, distances.Summary(quantiles, moments))


def _posterior(run: Run, images, condition, variety: float) -> dict[str, Any]:
  q = run.encode(images, condition)
  shown, usage = slice(PAIRED), latents.usage(q.mean, q.logvar)
  again = _decoded(run, q.mean[shown], condition[shown])
  return {
    "active": usage["active"],
    "of": usage["of"],
    "kl": usage["kl"] and sum(usage["kl"]),
    "ratio": diversity.mean_distance(again) / variety,
    "error": diversity.paired_distance(images[shown], again),
  }


def _decoded(run: Run, z: NDArray, condition: NDArray) -> NDArray[np.uint8]:
  """Decodes z [N, Z] as pictures show it: a byte a value, so all fit."""
  pairs = zip(_parts(z), _parts(condition), strict=True)
  return np.concatenate([to_bytes(run.decode(*pair)) for pair in pairs])


def _parts(rows: NDArray) -> Iterable[NDArray]:
  step = distances.ROWS
  return [rows[i : i + step] for i in range(0, len(rows), step)]
