"""The networks of the conditional adversarial autoencoder (Zhang 2017).

Images are in [−1, 1] here, attributes y ∈ {−1, +1}ⁿ.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import check
from cvae_jax.nets.blocks import Block, Norm
from cvae_jax.nets.layers import Dense

KERNEL = 5


def tile(y: Array, size: int) -> Array:
  """Repeat y [B, A] as often as it fits into `size`, at least once."""
  return jnp.tile(y, (1, max(1, size // max(1, y.shape[-1]))))


class Encoder(nn.Module):
  """The code of an image: convolutions of stride 2, then tanh."""

  features: Sequence[int]
  latents: int
  padding: str = "same"  # or valid

  @nn.compact
  def __call__(self, image: Array) -> Array:
    """Map [B, H, W, C] to codes [B, Z] in (−1, 1)."""
    x = image
    for i, features in enumerate(self.features):
      x = Block(
        features,
        KERNEL,
        stride=2,
        how=check(("same", "valid"), self.padding, "padding"),
        activation="relu",
        initialiser="he",
        name=f"conv_{i}",
      )(x)
    x = x.reshape(x.shape[0], -1)
    return jnp.tanh(Dense(self.latents, name="code")(x))


class Decoder(nn.Module):
  """The image of a code under attributes: transposed convolutions."""

  map: Sequence[int]  # (H, W, C) of the dense layer's output
  features: Sequence[int]  # those of stride 2; a last one has stride 1
  channels: int = 3
  tile: bool = True  # attributes are repeated to about the code's length
  initialiser: str = "he"  # of the stride-2 ones; or he_transposed, Keras's

  @nn.compact
  def __call__(self, z: Array, y: Array) -> Array:
    """Map [B, Z] and [B, A] to images [B, H, W, C] in (−1, 1)."""
    y = tile(y, z.shape[-1]) if self.tile else y
    x = jnp.concatenate([z, y], axis=-1)
    x = jax.nn.relu(Dense(math.prod(self.map), name="dense")(x))
    x = x.reshape(-1, *self.map)
    for i, features in enumerate(self.features):
      x = Block(
        features,
        KERNEL,
        stride=2,
        how="transposed",
        activation="relu",
        initialiser=self.initialiser,
        name=f"conv_{i}",
      )(x)
    last = Block(
      self.channels, KERNEL, how="transposed", activation="tanh", name="image"
    )
    return last(x)


class LatentCritic(nn.Module):
  """Tells codes drawn from the prior from codes of images."""

  dense: Sequence[int]

  @nn.compact
  def __call__(self, z: Array, train: bool = False) -> Array:
    """Map [B, Z] to logits [B] of coming from the prior."""
    x = z
    for i, width in enumerate(self.dense):
      x = Dense(width, name=f"dense_{i}")(x)
      x = jax.nn.relu(Norm(not train, name=f"norm_{i}")(x))
    return Dense(1, name="logit")(x)[:, 0]


class ImageCritic(nn.Module):
  """Tells photos from decoded images, given their attributes."""

  features: Sequence[int]  # the attributes join after the first
  dense: int
  tile: int = 0  # attributes are repeated to about so many maps
  slope: float = 0.2  # of the dense layer

  @nn.compact
  def __call__(self, image: Array, y: Array, train: bool = False) -> Array:
    """Map [B, H, W, C] and [B, A] to logits [B] of being a photo."""
    x = image
    for i, features in enumerate(self.features):
      x = Block(
        features,
        KERNEL,
        stride=2,
        norm="batch",
        activation="relu",
        name=f"conv_{i}",
      )(x, train)
      if i == 0:
        maps = tile(y, self.tile)[:, None, None, :]
        maps = jnp.broadcast_to(maps, (*x.shape[:3], maps.shape[-1]))
        x = jnp.concatenate([x, maps], axis=-1)
    x = x.reshape(x.shape[0], -1)
    x = jax.nn.leaky_relu(Dense(self.dense, name="dense")(x), self.slope)
    return Dense(1, name="logit")(x)[:, 0]
