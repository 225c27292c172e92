"""A hierarchy of latents whose networks are dense layers, for small images.

`nets.hierarchy` has the equations. With levels (50, 100) it has as many latents
in as many stochastic layers as the larger networks of Burda et al. 2016; the
way down is a ladder's (Sønderby et al. 2016).
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import pick
from cvae_jax.nets import telling
from cvae_jax.nets.images import Shape
from cvae_jax.nets.layers import ACTIVATIONS, Dense
from cvae_jax.nets.top_down import Pass, TopDown, split


class Encoder(nn.Module):
  """Reads features for each level from an image, by two layers each."""

  shape: Shape
  widths: Sequence[int]  # units of each level, top first
  activation: str = "tanh"

  @nn.compact
  def __call__(self, image: Array) -> list[Array]:
    """Map [B, H, W, C] or [B, D] to [B, F] of each level, top first."""
    act = pick(ACTIVATIONS, self.activation, "model.activation")
    x = image.reshape(image.shape[0], -1)
    found = []
    for level in reversed(range(len(self.widths))):
      for layer in range(2):
        x = act(Dense(self.widths[level], name=f"up_{level}_{layer}")(x))
      found.append(x)
    return found[::-1]


class Decoder(TopDown):
  """Goes down from a learned vector to the image, through all levels.

  Posteriors depend on the image from the start, as a plain VAE's do. If they
  were N(0, I) at first, the layers would learn to ignore this many latents.
  """

  posterior_init = staticmethod(nn.initializers.glorot_uniform())

  shape: Shape
  levels: Sequence[int]  # latents of each, top first
  channels: int  # of the output, at least the image's
  widths: Sequence[int]
  activation: str = "tanh"
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
    told = telling.embed(condition, self.widths[0], self.angles)
    start = self.param("start", nn.initializers.zeros, (self.widths[0],))
    x = jnp.broadcast_to(start, (e.shape[0], *start.shape))
    parts = split(e, self.latents())
    x, e, q = self.walk(x, parts, told, maps, len(self.levels))
    size = (*self.shape[:2], self.channels)
    output = Dense(math.prod(size), name="image")(x)
    return Pass(output.reshape(-1, *size), e, q)

  def latents(self) -> list[tuple[int]]:
    """Return the number of latents of each level, top first."""
    return [(count,) for count in self.levels]

  def activate(self, x: Array) -> Array:
    """Apply model.activation."""
    return pick(ACTIVATIONS, self.activation, "model.activation")(x)

  def widen(self, x: Array, level: int) -> Array:
    """Map [B, F] of one level to [B, F'] of the next."""
    return Dense(self.widths[level], name=f"down_{level}")(x)

  def join_image(self, both: Array, level: int) -> Array:
    """Map [B, 2 F] to [B, F]."""
    return Dense(self.widths[level], name=f"both_{level}")(both)

  def mix(self, x: Array, level: int) -> Array:
    """Apply a layer [F, F]."""
    return Dense(x.shape[-1], name=f"mix_{level}")(self.activate(x))
