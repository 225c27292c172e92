"""The conditional encoder and decoder of digits and faces (digits.md §2)."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.gaussian import Gaussian
from cvae_jax.nets.layers import ACTIVATIONS, Conv, Dense, dropout


def _flat(x: Array) -> Array:
  return x.reshape(x.shape[0], -1)


def _keys(key: Array | None, count: int) -> list[Array | None]:
  if key is None:
    return [None] * count
  return [jax.random.fold_in(key, i) for i in range(count)]


class Encoder(nn.Module):
  """q(z | image, condition): convolutions beside a dense path of raw pixels.

  The condition joins after the convolutions; the raw path never sees it.
  """

  features: Sequence[int]
  strides: Sequence[int]
  dropout: Sequence[float]  # after each convolution
  dense: int
  side: int  # width of the raw path
  latents: int
  kernel: int = 3
  activation: str = "relu"

  @nn.compact
  def __call__(
    self, image: Array, condition: Array, key: Array | None = None
  ) -> Gaussian:
    """Maps [B, H, W, C] and [B, A] to a Gaussian over [B, Z].

    Without a key dropout is off.
    """
    act = ACTIVATIONS[self.activation]
    x = image
    layers = zip(self.features, self.strides, self.dropout, strict=True)
    keys = _keys(key, len(self.features))
    for i, (features, stride, rate) in enumerate(layers):
      conv = Conv(features, self.kernel, stride, name=f"conv_{i}")
      x = dropout(keys[i], act(conv(x)), rate)
    x = jnp.concatenate([_flat(x), condition], axis=-1)
    x = act(Dense(self.dense, name="dense")(x))
    side = act(Dense(self.side, name="side")(_flat(image)))
    x = jnp.concatenate([x, side], axis=-1)
    return Gaussian(
      Dense(self.latents, name="mean")(x), Dense(self.latents, name="logvar")(x)
    )


class Decoder(nn.Module):
  """p(image | z, condition): two dense layers, then transposed convolutions.

  The last activation is the same as the others, as in the source: with ReLU
  an output is ≥ 0 but not bounded by 1.
  """

  dense: int
  map: Sequence[int]  # (H, W, C) of the second dense layer's output
  features: Sequence[int]
  strides: Sequence[int]
  dropout: Sequence[float]  # after each transposed convolution
  kernel: int = 3
  activation: str = "relu"

  @nn.compact
  def __call__(
    self, z: Array, condition: Array, key: Array | None = None
  ) -> Array:
    """Maps [B, Z] and [B, A] to images [B, H, W, C]."""
    act = ACTIVATIONS[self.activation]
    height, width, channels = self.map
    x = jnp.concatenate([z, condition], axis=-1)
    x = act(Dense(self.dense, name="dense_0")(x))
    x = act(Dense(height * width * channels, name="dense_1")(x))
    x = x.reshape(-1, height, width, channels)
    layers = zip(self.features, self.strides, self.dropout, strict=True)
    keys = _keys(key, len(self.features))
    for i, (features, stride, rate) in enumerate(layers):
      conv = Conv(
        features, self.kernel, stride, transposed=True, name=f"conv_{i}"
      )
      x = dropout(keys[i], act(conv(x)), rate)
    return x
