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
from cvae_jax.nets import images, telling
from cvae_jax.nets.fast import ops
from cvae_jax.nets.images import BLOCKS, WIDTHS, Residual, Shape
from cvae_jax.nets.layers import Conv, output_initialisers
from cvae_jax.nets.top_down import Pass, TopDown, split
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
  """Goes down from a learned map to the image, through all levels."""

  shape: Shape
  levels: Sequence[int]
  channels: int  # of the output, at least the image's
  width: str = "small"
  blocks: str = "plain"
  mean: tuple[float, ...] = ()  # of the images' channels
  angles: telling.Angles = telling.Angles()  # of the condition

  @nn.compact
  def __call__(
    self, e: Array, condition: Array, maps: Sequence[Array] | None = None
  ) -> Pass:
    """Decode e [B, Z]; with maps of images, infer e from noise and decode it.

    Args:
      e: latents; beside maps, a draw of N(0, I) of the same shape.
      condition: [B, A]. Every level is told it.
      maps: of the encoder.
    """
    first = pick(WIDTHS, self.width, "model.width")
    check(BLOCKS, self.blocks, "model.blocks")
    parts = split(e, self.latents())
    told = telling.embed(condition, 8 * first, self.angles)
    size, width = self._maps()[0]
    start = self.param("start", nn.initializers.zeros, (*size, width))
    x = jnp.broadcast_to(start, (e.shape[0], *start.shape))
    x, e, q = self.walk(x, parts, told, maps, len(self._maps()))
    begin = output_initialisers(self.mean, self.channels)
    image = self._enlarge(x, self.channels, self.shape, "image", **begin)
    return Pass(image, e, q)

  def latents(self) -> list[Shape]:
    """Return (height, width, latents of a pixel) of each level, top first."""
    return level_shapes(self.shape, self.levels)

  def activate(self, x: Array) -> Array:
    """Apply SiLU."""
    return ops.silu(x)

  def widen(self, x: Array, level: int) -> Array:
    """Double a map's sides."""
    size, width = self._maps()[level]
    return self._enlarge(x, width, size, f"up_{level}")

  def join_image(self, both: Array, level: int) -> Array:
    """Map [B, h, w, 2 F] to [B, h, w, F]."""
    return Conv(both.shape[-1] // 2, name=f"both_{level}")(both)

  def mix(self, x: Array, level: int) -> Array:
    """Apply a residual block, if there are any."""
    if self.blocks == "plain":
      return x
    return Residual(x.shape[-1], name=f"residual_{level}")(x)

  def _maps(self) -> list[tuple[tuple[int, int], int]]:
    """Return (height, width) and features of each map, smallest first."""
    sizes = images.sides(*self.shape[:2])[1:]
    widths = images.features(WIDTHS[self.width], len(sizes))
    return list(zip(sizes, widths, strict=True))[::-1]

  def _enlarge(
    self,
    x: Array,
    width: int,
    size: Sequence[int],
    name: str,
    **begin: nn.initializers.Initializer,
  ) -> Array:
    """Double a map's sides, less the row or column that an odd side lacks."""
    x = Conv(width, 4, 2, "SAME", True, **begin, name=name)(x)
    return x[:, : size[0], : size[1]]


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
