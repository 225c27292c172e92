"""A hierarchy of latents: several stochastic layers, one above the other.

    p(x, z | c) = p(x | z_1 … z_L, c) · Π p(z_l | z_1 … z_(l−1), c)
    q(z | x, c) =                       Π q(z_l | z_1 … z_(l−1), x, c)

z_1 is the top level, which has the smallest map, and z_L is the finest. The
encoder computes maps of the image from fine to coarse. The decoder goes from
the top down. At each level it knows the levels above, and computes the prior
N(m, s²) of the level. The posterior sees the same, and the image's map
(Sønderby et al. 2016; Vahdat and Kautz 2020).

The latents are e_l = (z_l − m) / s, whose prior is N(0, I) at every level. So
code that draws, edits or exports latents needs not know of levels: they are
one vector e [B, Z], top level first.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import check, pick
from cvae_jax.nets import images
from cvae_jax.nets.fast import ops
from cvae_jax.nets.images import BLOCKS, WIDTHS, Residual, Shape
from cvae_jax.nets.layers import Conv, output_initialisers
from cvae_jax.nets.top_down import Pass, TopDown
from cvae_jax.types import PyTree

USUAL = (8, 4, 2)  # latents of a pixel of each level's map, where none are said


def level_shapes(shape: Shape, levels: Sequence[int]) -> list[Shape]:
  """Return (height, width, latents of a pixel) of each level, top first.

  Args:
    shape: of an image.
    levels: latents of a pixel of each level; none for USUAL's, on as many maps
      as there are.

  Raises:
    ValueError: there are more levels than maps.
  """
  sizes = images.sides(*shape[:2])[:0:-1]
  levels = levels or USUAL[: len(sizes)]
  if len(levels) > len(sizes):
    raise ValueError(
      f"model.levels={tuple(levels)} are {len(levels)} levels; images of "
      f"{shape[0]}×{shape[1]} pixels have maps for up to {len(sizes)}: say "
      f"fewer, as --config.model.levels='{tuple(levels[: len(sizes)])}'"
    )
  pairs = zip(sizes, levels, strict=False)
  return [(*size, int(count)) for size, count in pairs]


class Encoder(nn.Module):
  """Reads a map for each level from an image."""

  shape: Shape
  levels: Sequence[int]  # latents of a pixel of each level's map
  width: str = "small"
  blocks: str = "plain"

  @nn.compact
  def __call__(self, image: Array) -> list[Array]:
    """Map [B, H, W, C] or [B, H · W · C] to [B, h, w, F] of each level."""
    first = pick(WIDTHS, self.width, "model.width")
    residual = check(BLOCKS, self.blocks, "model.blocks") == "residual"
    count = len(images.sides(*self.shape[:2])) - 1
    x = image.reshape(-1, *self.shape) - 0.5
    maps = []
    for i, width in enumerate(images.features(first, count)):
      x = Conv(width, 4, 2, name=f"down_{i}")(x)
      if residual:
        x = Residual(width, name=f"residual_{i}")(x)
      x = ops.silu(x)
      maps.append(x)
    return maps[::-1][: len(level_shapes(self.shape, self.levels))]


class Decoder(TopDown):
  """Goes down by convolutions. `levels` are latents of a pixel of each map."""

  width: str = "small"
  blocks: str = "plain"
  mean: tuple[float, ...] = ()  # of the images' channels

  def latents(self) -> list[Shape]:
    """Return (height, width, latents of a pixel) of each level, top first."""
    return level_shapes(self.shape, self.levels)

  def features(self) -> list[Shape]:
    """Return (height, width, features) of each map, smallest first."""
    sizes = images.sides(*self.shape[:2])[1:]
    widths = images.features(WIDTHS[self.width], len(sizes))
    pairs = zip(sizes, widths, strict=True)
    return [(*size, width) for size, width in pairs][::-1]

  def embedding(self) -> int:
    """Return the size of an embedded condition."""
    return 8 * WIDTHS[self.width]

  def activate(self, x: Array) -> Array:
    """Apply SiLU."""
    return ops.silu(x)

  def widen(self, x: Array, layer: int) -> Array:
    """Double a map's sides."""
    return self._enlarge(x, self.features()[layer], f"up_{layer}")

  def join_image(self, both: Array, level: int) -> Array:
    """Map [B, h, w, 2 F] to [B, h, w, F]."""
    return Conv(both.shape[-1] // 2, name=f"both_{level}")(both)

  def mix(self, x: Array, layer: int) -> Array:
    """Apply a residual block, if there are any."""
    if self.blocks == "plain":
      return x
    return Residual(x.shape[-1], name=f"residual_{layer}")(x)

  def draw_image(self, x: Array) -> Array:
    """Map the largest map to the output [B, H, W, channels]."""
    begin = output_initialisers(self.mean, self.channels)
    shape = (*self.shape[:2], self.channels)
    return self._enlarge(x, shape, "image", **begin)

  def _enlarge(
    self,
    x: Array,
    shape: Shape,
    name: str,
    **begin: nn.initializers.Initializer,
  ) -> Array:
    """Double a map's sides, less the row or column that an odd side lacks."""
    height, width, features = shape
    x = Conv(features, 4, 2, "SAME", True, **begin, name=name)(x)
    return x[:, :height, :width]


class Hierarchy(NamedTuple):
  """Both networks, which are params' branches encoder and decoder."""

  encoder: nn.Module  # of this file or of nets.dense_hierarchy
  decoder: TopDown

  @property
  def sizes(self) -> tuple[int, ...]:
    """Return the number of latents of each level, top first."""
    return tuple(math.prod(level) for level in self.decoder.latents())

  def infer(
    self, params: PyTree, image: Array, condition: Array, noise: Array
  ) -> Pass:
    """Draw e of the posteriors of images, and decode it.

    Args:
      params: of the system.
      image: [B, H, W, C] or [B, D].
      condition: [B, A].
      noise: [K · B, Z] of N(0, I): K draws for each image, all images in
        turn. Without noise, 0, each level is the mean given those above.
    """
    maps = self.encoder.apply({"params": params["encoder"]}, image)
    times = noise.shape[0] // image.shape[0]
    if times > 1:
      maps = [jnp.tile(a, (times, *[1] * (a.ndim - 1))) for a in maps]
      condition = jnp.tile(condition, (times, 1))
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, noise, condition, maps)

  def output(self, params: PyTree, e: Array, condition: Array) -> Array:
    """Return the output [B, H, W, channels] of e [B, Z]."""
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, e, condition).output
