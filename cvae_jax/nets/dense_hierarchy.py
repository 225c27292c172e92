"""A hierarchy of latents whose networks are dense layers, for small images.

`nets.hierarchy` has the equations. With levels (50, 100) it has as many latents
in as many stochastic layers as the larger networks of Burda et al. 2016; the
way down is a ladder's (Sønderby et al. 2016).
"""

import math
from collections.abc import Sequence

import flax.linen as nn
from jax import Array

from cvae_jax.nets.images import Shape
from cvae_jax.nets.layers import ACTIVATIONS, Dense
from cvae_jax.nets.top_down import TopDown


class Encoder(nn.Module):
  """Reads features for each level from an image, by two layers each."""

  shape: Shape
  widths: Sequence[int]  # units of each level, top first
  activation: str = "tanh"

  @nn.compact
  def __call__(self, image: Array) -> list[Array]:
    """Map [B, H, W, C] or [B, D] to [B, F] of each level, top first."""
    act = ACTIVATIONS[self.activation]
    x = image.reshape(image.shape[0], -1)
    found = []
    for level in reversed(range(len(self.widths))):
      for layer in range(2):
        x = act(Dense(self.widths[level], name=f"up_{level}_{layer}")(x))
      found.append(x)
    return found[::-1]


class Decoder(TopDown):
  """Goes down by dense layers.

  Posteriors depend on the image from the start, as a plain VAE's do. If they
  were N(0, I) at first, the layers would learn to ignore this many latents.
  """

  widths: Sequence[int] = ()  # units of each level, top first
  activation: str = "tanh"

  posterior_init = staticmethod(nn.initializers.glorot_uniform())

  def latents(self) -> list[tuple[int]]:
    """Return the number of latents of each level, top first."""
    return [(count,) for count in self.levels]

  def features(self) -> list[tuple[int]]:
    """Return the units of each level, top first."""
    return [(width,) for width in self.widths]

  def embedding(self) -> int:
    """Return the size of an embedded condition."""
    return self.widths[0]

  def activate(self, x: Array) -> Array:
    """Apply model.activation."""
    return ACTIVATIONS[self.activation](x)

  def widen(self, x: Array, layer: int) -> Array:
    """Map [B, F] of one level to [B, F'] of the next."""
    return Dense(self.widths[layer], name=f"down_{layer}")(x)

  def join_image(self, both: Array, level: int) -> Array:
    """Map [B, 2 F] to [B, F]."""
    return Dense(self.widths[level], name=f"both_{level}")(both)

  def mix(self, x: Array, layer: int) -> Array:
    """Apply a layer [F, F]."""
    return Dense(x.shape[-1], name=f"mix_{layer}")(self.activate(x))

  def draw_image(self, x: Array) -> Array:
    """Map the last units to the output [B, H, W, channels]."""
    shape = (*self.shape[:2], self.channels)
    output = Dense(math.prod(shape), name="image")(x)
    return output.reshape(-1, *shape)
