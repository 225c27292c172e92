"""The encoder and the decoder of the colouring.

Each sees the same grey pyramid through four branches of its own, one for each
level. The eight branches are separate. Batched over stacked parameters they
would compile in two thirds of the time, but their products would be slower.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.fast import conv, half, im2col, ops
from cvae_jax.nets.layers import Dense, dropout


class _Conv(nn.Module):
  """A 3×3 valid convolution with bias; on CPU a product of windows.

  The maps are small, 14 × 14 pixels at most. So XLA's convolution takes longer
  than the product of the windows, and the gradient needs the windows anyway.
  """

  features: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Map [B, H, W, C] to [B, H − 2, W − 2, features]."""
    shape = (3, 3, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if ops.fast_on_cpu() and not half.is_on():
      windows = im2col.patches(x, 3, 1, ((0, 0), (0, 0)))
      taps = kernel.reshape(-1, self.features)
      rows = windows.reshape(-1, len(taps)) @ taps
      y = rows.reshape(*windows.shape[:-1], self.features)
    else:
      y = conv.conv(x, kernel, padding="VALID")
    return ops.add_bias(y, bias)


class Branch(nn.Module):
  """The code of one level of the pyramid: valid convolutions, two dense."""

  features: Sequence[int]
  dense: int
  code: int
  skip: bool  # the raw level joins the flattened maps
  dropout: float  # after each convolution and the first dense layer

  @nn.compact
  def __call__(self, level: Array, key: Array | None) -> Array:
    """Map [B, 14, 14] to [B, code]; without a key dropout is off."""
    x = level[..., None]
    for i, features in enumerate(self.features):
      x = ops.silu(_Conv(features, name=f"conv_{i}")(x))
      x = dropout(_key(key, i), x, self.dropout)
    x = x.reshape(x.shape[0], -1)
    if self.skip:
      x = jnp.concatenate([x, level.reshape(x.shape[0], -1)], axis=-1)
    x = ops.silu(Dense(self.dense, name="dense_0")(x))
    x = dropout(_key(key, len(self.features)), x, self.dropout)
    return ops.silu(Dense(self.code, name="dense_1")(x))


class Encoder(nn.Module):
  """q(z | grey pyramid, position); with `sees_colour` also of the colour."""

  branch: Mapping[str, Any]  # the fields of a Branch
  hidden: int
  latents: int
  sees_colour: bool = False  # the source's encoder never does

  @nn.compact
  def __call__(
    self,
    levels: Array,
    position: Array,
    colour: Array,
    key: Array | None = None,
  ) -> Gaussian:
    """Map [B, 4, 14, 14], [B, P] and [B, 2] to a Gaussian over [B, Z]."""
    joined = [_add_branches(self.branch, levels, key), position]
    if self.sees_colour:
      joined.append(colour)
    x = jnp.concatenate(joined, axis=-1)
    x = ops.silu(Dense(self.hidden, name="hidden")(x))
    return Gaussian(
      Dense(self.latents, name="mean")(x),
      Dense(self.latents, name="logvar")(x),
    )


class Decoder(nn.Module):
  """p(colour | z, grey pyramid, position)."""

  branch: Mapping[str, Any]
  hidden: int

  @nn.compact
  def __call__(
    self,
    levels: Array,
    position: Array,
    z: Array,
    key: Array | None = None,
  ) -> Array:
    """Map [B, 4, 14, 14], [B, P] and z [B, V, Z] to colours [B, V, 2].

    The branches do not see z, so V latents cost little more than one.
    """
    looks = _add_branches(self.branch, levels, key)
    looks, position = (
      jnp.broadcast_to(x[:, None], (*z.shape[:-1], x.shape[-1]))
      for x in (looks, position)
    )
    x = jnp.concatenate([looks, z, position], axis=-1)
    x = ops.silu(Dense(self.hidden, name="hidden")(x))
    x = dropout(_key(key, 4), x, self.branch["dropout"])
    return jnp.tanh(Dense(2, name="colour")(x))


def _add_branches(
  branch: Mapping[str, Any], levels: Array, key: Array | None
) -> Array:
  """Add four branches to the calling module: [B, 4 · code]."""
  looks = [
    Branch(**branch, name=f"level_{k}")(levels[:, k], _key(key, k))
    for k in range(levels.shape[1])
  ]
  return jnp.concatenate(looks, axis=-1)


def _key(key: Array | None, index: int) -> Array | None:
  return None if key is None else jax.random.fold_in(key, index)
