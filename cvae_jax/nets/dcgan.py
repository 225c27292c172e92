"""DCGAN's networks (Radford et al. 2016).

A trunk halves the map at each convolution, and the decoder mirrors it. The
image's size decides how many convolutions there are.
"""

import math
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
from jax import Array

from cvae_jax.method.names import pick
from cvae_jax.nets.blocks import (
  INITIALISERS,
  NORMALISERS,
  Block,
  downsample,
)
from cvae_jax.nets.layers import Dense


class Trunk(nn.Module):
  """Reads heads from an image: an encoder's, or the score of a critic."""

  features: Sequence[int]
  heads: Mapping[str, int]  # {name: features}
  norm: str = "batch_0.9"  # of blocks.NORMALISERS, after the first layer
  slope: float = 0.2
  initialiser: str = "normal"

  @nn.compact
  def __call__(self, image: Array, train: bool = False) -> dict[str, Array]:
    """Map [B, H, W, C] to {head: [B, features]}."""
    x = downsample(
      image,
      self.features,
      train,
      norm=self.norm,
      norm_first=False,
      slope=self.slope,
      initialiser=self.initialiser,
    )
    drawn = pick(INITIALISERS, self.initialiser, "initialiser")
    return {
      name: Dense(features, kernel_init=drawn, name=name)(x)
      for name, features in self.heads.items()
    }


class Decoder(nn.Module):
  """Pixels of z, by transposed 4×4 convolutions of stride 2; a generator."""

  map: Sequence[int]  # (H, W, C) of the dense layer's output
  features: Sequence[int]  # the last are the image's channels
  norm: str = "batch_0.9"  # of blocks.NORMALISERS, before the last layer
  initialiser: str = "normal"

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Map [B, Z] to the logits of images, [B, H, W, C]."""
    drawn = pick(INITIALISERS, self.initialiser, "initialiser")
    x = Dense(math.prod(self.map), kernel_init=drawn, name="dense")(z)
    x = x.reshape(-1, *self.map)
    norm = pick(NORMALISERS, self.norm, "norm")
    x = jax.nn.relu(norm(not train, name="norm")(x))
    for i, features in enumerate(self.features):
      last = i == len(self.features) - 1
      x = Block(
        features,
        kernel=4,
        stride=2,
        how="transposed",
        norm="" if last else self.norm,
        bias=last,
        activation="linear" if last else "relu",
        initialiser=self.initialiser,
        name=f"conv_{i}",
      )(x, train)
    return x
