"""Measure two kinds of collapse, and the quality of samples.

If the posterior collapses, codes say nothing, and all reconstructions are one
picture. If modes collapse, samples repeat, whatever the codes. Neither implies
the other, and a generator without an encoder can only have the second.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax import data
from cvae_jax.host.images import average_pool, pooled_shape, to_bytes
from cvae_jax.loop import batches, distances
from cvae_jax.loop.distances import Embed
from cvae_jax.loop.run import fitted, posteriors
from cvae_jax.measures import kept
from cvae_jax.metrics import (
  aggregate,
  diversity,
  frechet,
  kid,
  manifold,
  sliced,
)
from cvae_jax.runs import Run

KID = "kid_vgg16"  # of VGG16's features, beside distances.FRECHET
IMAGES = 2000  # images of each set, or fewer if fewer are held out
PAIRED = 512  # images of which all pairs are compared at full size, at most
FEWEST = 4  # of each set: an image and manifold's 3 neighbours
FITTED = 10_000  # training images whose codes are used for a fit, at most
PIXELS = 32
FEATURES = 64  # sides of averaged images if config.distance has none


class Held:
  """A data set's held-out images, and the statistics to compare runs with.

  Each statistic is computed once, when it is first needed.

  Args:
    dataset: its test split is what is held out.
    rule: config.distance; sides and numbers that it does not set are ours.
    embed: of distances.load_embedding; without it there is no Fréchet distance,
      and neighbours are pixels'.

  Raises:
    DataError: there are too few images to measure by.
  """

  def __init__(
    self, dataset: data.Dataset, rule: ConfigDict, embed: Embed | None = None
  ):
    image = dataset.test["image"] if dataset.test else ()
    self.dataset = dataset
    self.embed = embed
    self.count = min(
      rule.images or IMAGES, len(image), len(dataset.train["image"])
    )
    if self.count < FEWEST:
      raise data.DataError(
        f"sets of {FEWEST} images or more are compared; {len(image)} are held "
        f"out, {len(dataset.train['image'])} train and distance.images is "
        f"{rule.images}"
      )
    shape = image.shape[1:3]
    self.sliced = rule.sliced or _choose_side(*shape, PIXELS)
    self.frechet = rule.frechet or _choose_side(*shape, FEATURES)
    self.directions = rule.directions
    rows = distances.choose_rows(len(image), self.count)
    self.image = image[rows]
    self.condition = distances.conditions(dataset.test, rows)
    # The rows may be sorted by class.
    self.paired = batches.spread(self.count, PAIRED)

  def protocol(self) -> dict[str, Any]:
    """Describe how sets of images are measured."""
    found = {
      "images": self.count,
      "paired": len(self.paired),
      "sliced_side": self.sliced,
      "directions": self.directions,
      "frechet_side": self.frechet if self.embed else None,
      "kernel_distance": bool(self.embed),
      "neighbours": "VGG16's features" if self.embed else "pixels",
      "near_duplicates": ["neighbours", "pixels", "intervals"],
    }
    # Older records are of the first rows, which are all where there are few.
    few = len(self.paired) == self.count
    return found if few else found | {"paired_rows": "spread evenly"}

  @functools.cached_property
  def variety(self) -> float:
    """Return the mean distance of two of the images."""
    return diversity.mean_distance(self.image[self.paired])

  @functools.cached_property
  def floor(self) -> dict[str, float]:
    """Return the distances of as many training images from these."""
    image = self.dataset.train["image"]
    seen = self._extract_features(
      image[distances.choose_rows(len(image), self.count)]
    )
    return self._distances(seen)

  def _distances(self, seen: "_Seen") -> dict[str, float]:
    """Return the distances of a set from the held-out images."""
    found = distances.compare(seen.summary, self._seen.summary)
    if self.embed:
      found[KID] = kid.distance(seen.points, self._seen.points)
    return found

  def judge(self, images: NDArray) -> dict[str, Any]:
    """Compare as many samples [N, ...] with the images."""
    seen = self._extract_features(images)
    known = self._seen
    return {
      "ratio": diversity.mean_distance(images[self.paired]) / self.variety,
      "near_duplicates": manifold.near_duplicates(known.points, seen.points),
      # Features of pictures without a face are close, even of varied ones.
      "near_duplicates_pixels": manifold.near_duplicates(
        known.pixels, seen.pixels
      ),
      "near_duplicates_interval": manifold.near_duplicates_interval(
        known.points, seen.points
      ),
      "near_duplicates_pixels_interval": manifold.near_duplicates_interval(
        known.pixels, seen.pixels
      ),
      **manifold.precision_recall(known.points, seen.points),
      **self._distances(seen),
    }

  @functools.cached_property
  def _seen(self) -> "_Seen":
    return self._extract_features(self.image)

  def _extract_features(self, images: NDArray) -> "_Seen":
    """Return the features of images [N, ...], or without VGG16 their pixels."""
    pooled = average_pool(images, self.sliced)
    quantiles = sliced.quantiles(pooled, self.directions)
    pixels = pooled.reshape(len(images), -1)
    if self.embed is None:
      return _Seen(pixels, pixels, distances.Summary(quantiles, None))
    points = np.concatenate(
      [
        self.embed(average_pool(part, self.frechet))
        for part in distances.split(images)
      ]
    )
    moments = frechet.moments([points])
    return _Seen(points, pixels, distances.Summary(quantiles, moments))


class _Seen(NamedTuple):
  """A set of images, prepared for neighbours and distances."""

  points: NDArray  # [N, D], features or without them pixels
  pixels: NDArray  # [N, P], averaged down
  summary: distances.Summary


def measure(run: Run, held: Held, seed: int = 0) -> dict[str, Any]:
  """Measure a run that decodes, beside held-out images of its data.

  What was measured by the same protocol is read from the run's measures.json.

  Returns:
    protocol; real: the images' mean `distance`, and the distances of training
      images from them: the floor;
    posterior: active, of, kl (nats; None where codes are points), ratio (mean
      distance of reconstructions over that of their images), error; None
      without an encoder;
    samples: of z from the `prior` and, with an encoder, from a Gaussian
      `fitted` to training codes: what Held.judge says.
  """
  protocol = {"seed": seed, **held.protocol()}
  return kept.measure_once(
    run, "collapse", protocol, lambda: _measure(run, held, seed)
  )


def _measure(run: Run, held: Held, seed: int) -> dict[str, Any]:
  latent = {"prior": run.prior(held.count, seed, held.condition)}
  posterior = None
  if run.system.encode:
    latent["fitted"] = draw_fitted(run, held.dataset, held.count, seed)
    posterior = _posterior(run, held)
  return {
    "real": {"distance": held.variety, **held.floor},
    "posterior": posterior,
    "samples": {
      name: held.judge(_decode(run.guided, z, held.condition))
      for name, z in latent.items()
    },
  }


def draw_fitted(
  run: Run, dataset: data.Dataset, count: int, seed: int = 0
) -> NDArray[np.float32]:
  """Draw z [count, Z] from a Gaussian fitted to the training images' codes.

  Codes are posterior means. With fewer images than latents the Gaussian is
  flat in the directions that no code shows.
  """
  q, _ = fitted.encode_training(run, dataset, FITTED)
  return aggregate.fit(q.mean).draw(count, seed)


def _choose_side(height: int, width: int, most: int) -> int:
  """Return the largest height, up to `most`, that images are averaged to."""
  sides = range(1, min(height, most) + 1)
  return max(side for side in sides if pooled_shape(height, width, side))


def _posterior(run: Run, held: Held) -> dict[str, Any]:
  q = run.encode(held.image, held.condition)
  usage = posteriors.measure_usage(run, held.image, held.condition, q)
  shown = held.paired
  again = _decode(run.decode, q.mean[shown], held.condition[shown])
  return {
    "active": usage["active"],
    "of": usage["of"],
    "kl": usage["kl"] and sum(usage["kl"]),
    "ratio": diversity.mean_distance(again) / held.variety,
    "error": diversity.paired_distance(held.image[shown], again),
  }


def _decode(
  decode: Callable[[NDArray, NDArray], NDArray], z: NDArray, condition: NDArray
) -> NDArray[np.uint8]:
  """Decode z [N, Z] to uint8, so that all images fit into memory."""
  pairs = zip(distances.split(z), distances.split(condition), strict=True)
  return np.concatenate([to_bytes(decode(*pair)) for pair in pairs])
