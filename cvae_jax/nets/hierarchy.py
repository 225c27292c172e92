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
import numpy as np
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import check, pick
from cvae_jax.nets import images, telling
from cvae_jax.nets.fast import ops
from cvae_jax.nets.images import BLOCKS, WIDTHS, Residual, Shape
from cvae_jax.nets.layers import Conv, Dense, output_initialisers
from cvae_jax.types import PyTree

USUAL = (8, 4, 2)  # latents of a pixel of each level's map, where none are said


class Pass(NamedTuple):
  """What the decoder finds on its way down."""

  output: Array  # [B, H, W, channels], not bounded
  z: Array  # [B, Z], e of the module's heading
  q: Gaussian | None  # over [B, Z]: what z was drawn from, level by level


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


class Decoder(nn.Module):
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
    residual = check(BLOCKS, self.blocks, "model.blocks") == "residual"
    sizes = images.sides(*self.shape[:2])[::-1]
    widths = images.features(first, len(sizes) - 1)[::-1]
    levels = level_shapes(self.shape, self.levels)
    parts = split(e, levels)
    told = telling.embed(condition, 8 * first, self.angles)
    start = self.param("start", nn.initializers.zeros, (*sizes[0], widths[0]))
    x = jnp.broadcast_to(start, (e.shape[0], *start.shape))
    found = []
    for i, width in enumerate(widths):
      if i:
        x = self._enlarge(x, width, sizes[i], f"up_{i}")
      if told is not None:
        x = telling.modulate(x, told, i)
      if i < len(levels):
        part = parts[i].reshape(-1, *levels[i])
        x, part, q = self._level(x, part, maps and maps[i], i)
        found.append((part, q))
      if residual:
        x = Residual(width, name=f"residual_{i}")(x)
      x = ops.silu(x)
    begin = output_initialisers(self.mean, self.channels)
    output = self._enlarge(x, self.channels, sizes[-1], "image", **begin)
    e = join([part for part, _ in found])
    if maps is None:
      return Pass(output, e, None)
    mean = join([q.mean for _, q in found])
    logvar = join([q.logvar for _, q in found])
    return Pass(output, e, Gaussian(mean, logvar))

  def _level(
    self, x: Array, e: Array, seen: Array | None, level: int
  ) -> tuple[Array, Array, Gaussian | None]:
    """Add a level's latents to a map [B, h, w, F]; return e and its q too."""
    count = e.shape[-1]
    above = ops.silu(x)

    # POSTERIOR: q(e_l | e_<l, x, c), from the map so far and the image's.
    q = None
    if seen is not None:
      both = jnp.concatenate([above, seen], axis=-1)
      both = Conv(x.shape[-1], name=f"both_{level}")(both)
      q = self._gaussian(ops.silu(both), count, f"posterior_{level}")
      e = q.mean + jnp.exp(0.5 * q.logvar) * e

    # PRIOR: p(z_l | z_<l, c) = N(m, s²), and z_l = m + s · e_l.
    prior = self._gaussian(above, count, f"prior_{level}")
    z = prior.mean + jnp.exp(0.5 * prior.logvar) * e
    return x + Dense(x.shape[-1], name=f"latent_{level}")(z), e, q

  def _gaussian(self, x: Array, count: int, name: str) -> Gaussian:
    """Return a Gaussian of each pixel's latents; it begins as N(0, I)."""
    heads = Dense(2 * count, nn.initializers.zeros, name=name)(x)
    return Gaussian(*jnp.split(heads, 2, axis=-1))

  def _enlarge(
    self,
    x: Array,
    width: int,
    size: tuple,
    name: str,
    **begin: nn.initializers.Initializer,
  ) -> Array:
    """Double a map's sides, less the row or column that an odd side lacks."""
    x = Conv(width, 4, 2, "SAME", True, **begin, name=name)(x)
    return x[:, : size[0], : size[1]]


class Hierarchy(NamedTuple):
  """Both networks, which are params' branches encoder and decoder."""

  encoder: Encoder
  decoder: Decoder

  @property
  def sizes(self) -> tuple[int, ...]:
    """Return the number of latents of each level, top first."""
    levels = level_shapes(self.decoder.shape, self.decoder.levels)
    return tuple(math.prod(level) for level in levels)

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
      maps = [jnp.tile(a, (times, 1, 1, 1)) for a in maps]
      condition = jnp.tile(condition, (times, 1))
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, noise, condition, maps)

  def output(self, params: PyTree, e: Array, condition: Array) -> Array:
    """Return the output [B, H, W, channels] of e [B, Z]."""
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, e, condition).output


def split(e: Array, levels: Sequence[Shape]) -> list[Array]:
  """Cut e [B, Z] into the latents of each level, [B, h · w · count]."""
  ends = np.cumsum([math.prod(level) for level in levels])
  return jnp.split(e, ends[:-1], axis=-1)


def join(parts: Sequence[Array]) -> Array:
  """Lay the maps [B, h, w, count] of all levels out as one row, [B, Z]."""
  rows = [part.reshape(part.shape[0], -1) for part in parts]
  return jnp.concatenate(rows, axis=-1)
