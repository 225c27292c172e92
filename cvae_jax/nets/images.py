"""Networks that build themselves for images of any size from 8 pixels on.

The encoder halves the map until a side is below 8. The decoder doubles it back
and cuts the extra row or column of an odd side. A config chooses the width and
the kind of block; the shapes of the data decide the rest.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import check, pick
from cvae_jax.nets.condition_embedding import Angles, embed, modulate
from cvae_jax.nets.fast import ops
from cvae_jax.nets.layers import Conv, Dense, output_initialisers

WIDTHS = {"small": 16, "medium": 32, "large": 64}  # features of the first map
BLOCKS = ("plain", "residual")
LEAST = 8  # pixels a side of an image
_WIDEST = 8  # × the first map's features

Shape = tuple[int, int, int]


def sides(height: int, width: int) -> list[tuple[int, int]]:
  """Return the maps' sizes, from the image's to the smallest.

  Raises:
    ValueError: the image has fewer than 8 pixels a side.
  """
  if min(height, width) < LEAST:
    raise ValueError(
      f"images of {height}×{width} pixels; expected {LEAST} or more a side: "
      "prepare them larger (--size)"
    )
  found = [(height, width)]
  while min(found[-1]) >= LEAST:
    found.append(tuple(-(-side // 2) for side in found[-1]))
  return found


def features(first: int, levels: int) -> list[int]:
  """Return the features of each level's map: doubled, up to a bound."""
  return [first * min(2**level, _WIDEST) for level in range(levels)]


class Residual(nn.Module):
  """x + two convolutions of it, which begin at 0."""

  features: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Map [B, H, W, features] to the same shape."""
    y = ops.silu(Conv(self.features, name="conv_0")(ops.silu(x)))
    scale = self.param("scale", nn.initializers.zeros, (self.features,))
    return x + scale[None, None, None] * Conv(self.features, name="conv_1")(y)


class Encoder(nn.Module):
  """Compute heads from an image and a condition."""

  shape: Shape
  heads: Mapping[str, int]  # {name: features}
  width: str = "small"
  blocks: str = "plain"
  angles: Angles = Angles()  # of the condition

  @nn.compact
  def __call__(
    self, image: Array, condition: Array | None = None, key: Any = None
  ) -> dict[str, Array]:
    """Map [B, H, W, C] or [B, H · W · C] to {head: [B, features]}.

    The key is ignored, since there is no dropout.
    """
    first = pick(WIDTHS, self.width, "model.width")
    residual = check(BLOCKS, self.blocks, "model.blocks") == "residual"
    levels = len(sides(*self.shape[:2])) - 1
    x = image.reshape(-1, *self.shape) - 0.5
    for i, width in enumerate(features(first, levels)):
      x = Conv(width, 4, 2, name=f"down_{i}")(x)
      if residual:
        x = Residual(width, name=f"residual_{i}")(x)
      x = ops.silu(x)
    x = x.reshape(x.shape[0], -1)
    embedded = embed(condition, 8 * first, self.angles)
    if embedded is not None:
      x = jnp.concatenate([x, embedded], axis=-1)
    x = ops.silu(Dense(16 * first, name="dense")(x))
    return {name: Dense(n, name=name)(x) for name, n in self.heads.items()}


class Decoder(nn.Module):
  """Draws maps of pixels from latents and a condition.

  The features of each level are scaled and shifted by the condition, so that
  no level loses it. Before training the images are near `mean`. If they were
  grey, the first steps on a set of dark images would move all layers towards
  black together, and too far.
  """

  shape: Shape
  channels: int  # of the output, at least the image's
  width: str = "small"
  blocks: str = "plain"
  mean: tuple[float, ...] = ()  # of the images' channels
  angles: Angles = Angles()  # of the condition

  @nn.compact
  def __call__(self, z: Array, condition: Array | None = None) -> Array:
    """Map [B, Z] and [B, A] to [B, H, W, channels], not bounded."""
    first = pick(WIDTHS, self.width, "model.width")
    residual = check(BLOCKS, self.blocks, "model.blocks") == "residual"
    *maps, smallest = sides(*self.shape[:2])
    widths = features(first, len(maps))
    embedded = embed(condition, 8 * first, self.angles)
    x = z if embedded is None else jnp.concatenate([z, embedded], axis=-1)
    x = ops.silu(Dense(16 * first, name="dense_0")(x))
    x = ops.silu(Dense(math.prod(smallest) * widths[-1], name="dense_1")(x))
    x = x.reshape(-1, *smallest, widths[-1])
    outputs = [self.channels, *widths[:-1]]
    for i in reversed(range(len(maps))):
      height, width = maps[i]
      begin = {} if i else output_initialisers(self.mean, self.channels)
      x = Conv(outputs[i], 4, 2, "SAME", True, **begin, name=f"up_{i}")(x)
      x = x[:, :height, :width]
      if i == 0:
        return x
      if embedded is not None:
        x = modulate(x, embedded, i)
      if residual:
        x = Residual(outputs[i], name=f"residual_{i}")(x)
      x = ops.silu(x)
    return x


class GaussianEncoder(nn.Module):
  """q(z | image, condition), as nets.conditional.Encoder has it."""

  shape: Shape
  latents: int
  width: str = "small"
  blocks: str = "plain"
  angles: Angles = Angles()  # of the condition

  @nn.compact
  def __call__(self, image: Array, condition: Array, key=None) -> Gaussian:
    """Map [B, H, W, C] and [B, A] to a Gaussian over [B, Z]."""
    heads = {"mean": self.latents, "logvar": self.latents}
    how = (self.shape, heads, self.width, self.blocks, self.angles)
    return Gaussian(**Encoder(*how, name="net")(image, condition, key))


class ImageDecoder(nn.Module):
  """p(image | z, condition), as nets.conditional.Decoder has it."""

  shape: Shape
  width: str = "small"
  blocks: str = "plain"
  outputs: int = 1  # for each channel: the parameters of a likelihood
  bounded: bool = True  # outputs are means in [0, 1]
  mean: tuple[float, ...] = ()  # of the images' channels
  angles: Angles = Angles()  # of the condition

  @nn.compact
  def __call__(self, z: Array, condition: Array, key=None) -> Array:
    """Map [B, Z] and [B, A] to [B, H, W, C · outputs], in [0, 1] if bounded."""
    channels = self.shape[-1] * self.outputs
    how = (self.shape, channels, self.width, self.blocks, self.mean)
    found = Decoder(*how, self.angles, name="net")(z, condition)
    return nn.sigmoid(found) if self.bounded else found


class PixelDecoder(nn.Module):
  """Flat logits of z and a condition, as nets.mlp.MLP has them."""

  shape: Shape
  channels: int
  width: str = "small"
  blocks: str = "plain"
  mean: tuple[float, ...] = ()  # of the images' channels

  @nn.compact
  def __call__(
    self, z: Array, condition: Array | None = None, key=None
  ) -> dict[str, Array]:
    """Map [B, Z] and [B, A] to {"logits": [B, H · W · channels]}."""
    how = (self.shape, self.channels, self.width, self.blocks, self.mean)
    output = Decoder(*how, name="net")(z, condition)
    return {"logits": output.reshape(z.shape[0], -1)}


class Generator(nn.Module):
  """Logits of images, as nets.dcgan.Decoder has them."""

  shape: Shape
  width: str = "small"
  blocks: str = "plain"
  mean: tuple[float, ...] = ()  # of the images' channels

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Map [B, Z] to [B, H, W, C]; it has no batch statistics."""
    how = (self.shape, self.shape[-1], self.width, self.blocks, self.mean)
    return Decoder(*how, name="net")(z)


class Critic(nn.Module):
  """Scores of images, as nets.dcgan.Trunk has them."""

  shape: Shape
  width: str = "small"
  blocks: str = "plain"

  @nn.compact
  def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
    """Map [B, H, W, C] to {"score": [B, 1]}; no batch statistics."""
    how = (self.shape, {"score": 1}, self.width, self.blocks)
    return Encoder(*how, name="net")(image)


def builds_itself(model: Mapping[str, Any]) -> bool:
  """Tell whether config.model asks for networks of this file."""
  return "width" in model
