"""The networks of the deep feature consistent VAE (Hou et al. 2016)."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.blocks import Block, downsample
from cvae_jax.nets.layers import Dense


class Encoder(nn.Module):
  """q(z | image): 4×4 convolutions of stride 2, normalised, leaky."""

  features: Sequence[int]
  latents: int
  slope: float
  initialiser: str = "glorot"

  @nn.compact
  def __call__(self, image: Array, train: bool = False) -> Gaussian:
    """Map [B, H, W, C] to a Gaussian over [B, Z]."""
    x = downsample(
      image,
      self.features,
      train,
      norm="batch",
      slope=self.slope,
      initialiser=self.initialiser,
    )
    return Gaussian(
      Dense(self.latents, name="mean")(x), Dense(self.latents, name="logvar")(x)
    )


class Decoder(nn.Module):
  """Image of z: each block doubles the map and convolves it, 3×3."""

  map: Sequence[int]  # (H, W, C) of the dense layer's output
  features: Sequence[int]  # the last are the image's channels
  slope: float
  edge: str = "zero"  # or replicate, which the paper takes
  initialiser: str = "glorot"
  last: str = "sigmoid"  # activation of the output

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Map [B, Z] to images [B, H, W, C] in [0, 1]."""
    he = nn.initializers.he_normal()
    x = Dense(math.prod(self.map), kernel_init=he, name="dense")(z)
    x = jax.nn.relu(x).reshape(-1, *self.map)
    for i, features in enumerate(self.features):
      last = i == len(self.features) - 1
      x = Block(
        features,
        kernel=3,
        how="upsample",
        norm="" if last else "batch",
        bias=last,
        activation=self.last if last else "leaky",
        slope=self.slope,
        initialiser=self.initialiser,
        edge=self.edge,
        name=f"conv_{i}",
      )(x, train)
    return x
