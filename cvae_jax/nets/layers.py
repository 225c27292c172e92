"""Layers as Keras initialises them: Glorot-uniform kernels, zero biases."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.softplus import softplus
from cvae_jax.nets.fast import conv, ops

DIMMEST = 0.01  # mean that a bias begins at
# Where a mixture of logistics begins, whose values are in [−1, 1]: a narrower
# or more random start makes the first steps flee to a nearly uniform one.
FIRST_LOG_SCALE = -1.5
FIRST_KERNEL = 0.1  # of a usual one
ACTIVATIONS = {
  "leaky_0.15": functools.partial(jax.nn.leaky_relu, negative_slope=0.15),
  "linear": lambda x: x,
  "relu": jax.nn.relu,
  "silu": ops.silu,
  "softplus": softplus,
  "tanh": jnp.tanh,
}


class Dense(nn.Module):
  """A matrix product with bias; flax.linen.Dense, faster on CPU."""

  features: int
  kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Map [..., C] to [..., features]."""
    shape = (x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape)
    bias = self.param("bias", nn.initializers.zeros, shape[1:])
    return ops.affine(x, kernel, bias)


class Conv(nn.Module):
  """A k×k convolution with bias; padding SAME, or VALID at stride 1."""

  features: int
  kernel: int = 3
  stride: int = 1
  padding: str = "SAME"
  transposed: bool = False
  bias_init: nn.initializers.Initializer = nn.initializers.zeros
  kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Map [B, H, W, C] to [B, H', W', features]."""
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape)
    bias = self.param("bias", self.bias_init, (self.features,))
    if self.transposed:
      return conv.conv_transpose(x, kernel, self.stride, bias=bias)
    return conv.conv(x, kernel, self.stride, self.padding, bias=bias)


def output_initialisers(
  mean: Sequence[float], channels: int
) -> dict[str, nn.initializers.Initializer]:
  """Return initialisers of a last layer (Conv's) that begins near means.

  Args:
    mean: of each channel of the images, in [0, 1]; none for biases of 0.
    channels: of the output. As many as the means are their logits. More are a
      mixture of K logistics for each mean, as `method.logistic` has them: K
      means in [−1, 1], K log-scales and, if K > 1, K logits.
  """
  if not mean:
    return {}
  if channels == len(mean):
    return {"bias_init": lambda *_: _logits(mean)}
  glorot = nn.initializers.glorot_uniform()
  return {
    "bias_init": lambda *_: _logistics(mean, channels // len(mean)),
    "kernel_init": lambda *shape: FIRST_KERNEL * glorot(*shape),
  }


def _logits(mean: Sequence[float]) -> Array:
  """Return the logits of means, away from 0 and 1, where no sigmoid learns."""
  share = jnp.clip(jnp.array(mean), DIMMEST, 1.0 - DIMMEST)
  return jnp.log(share / (1.0 - share))


def _logistics(mean: Sequence[float], width: int) -> Array:
  """Return the `width` numbers of each mean's logistics, in turn."""
  mixture = max(1, width // 3)
  scales = [FIRST_LOG_SCALE] * mixture
  logits = [0.0] * (width - 2 * mixture)
  values = [[2.0 * m - 1.0] * mixture + scales + logits for m in mean]
  return jnp.array(values).ravel()


def dropout(key: Array | None, x: Array, rate: float) -> Array:
  """Zero a share `rate` of x and scale the rest; identity if key is None.

  The mask is a counter-based integer hash of (key, position). The bits of
  threefry alone would cost a quarter of a CPU training step.
  tests/dropout_test.py compares its statistics with those of threefry.

  Raises:
    ValueError: the rate is not in [0, 1).
  """
  if not 0.0 <= rate < 1.0:
    raise ValueError(f"a dropout rate is from 0 to below 1; found {rate}")
  if key is None or not rate:
    return x
  seeds = jax.random.bits(key, (2,), jnp.uint32)
  keep = hash_bits(seeds, x.shape) >= jnp.uint32(round(rate * 2**32))
  return jnp.where(keep, x * (1.0 / (1.0 - rate)), 0.0)


def hash_bits(seeds: Array, shape: tuple[int, ...]) -> Array:
  """Hash positions to uniform uint32 [shape]: two rounds of a 32-bit mix.

  The mixer is C. Wellons's lowbias32 (public domain). A seed enters before
  each round, so no stream is a shifted copy of another key's stream.
  """
  index = jax.lax.iota(jnp.uint32, _size(shape)).reshape(shape)
  return _mix(_mix(index ^ seeds[0]) + seeds[1])


def _size(shape: tuple[int, ...]) -> int:
  return functools.reduce(lambda a, b: a * b, shape, 1)


def _mix(x: Array) -> Array:
  x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
  x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
  return x ^ (x >> 16)
