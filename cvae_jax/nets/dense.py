"""Matrix products and biases whose gradients XLA runs fast on CPU.

XLA:CPU sums a bias's gradient over rows at a fortieth of the memory's rate,
and the input's gradient of a wide layer at half the rate of its kernel's. On
GPU and TPU the plain forms are right; `conv.fast_on_cpu` decides.
"""

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.nets.conv import fast_on_cpu

WIDE = 8  # features for each input from which the input's gradient is summed


def add_bias(x: Array, bias: Array) -> Array:
  """Adds bias [C] to x [..., C]."""
  return (_add if fast_on_cpu() else _plain_add)(x, bias)


def product(x: Array, kernel: Array) -> Array:
  """Multiplies x [B, C] by kernel [C, D]."""
  wide = kernel.shape[1] >= WIDE * kernel.shape[0] and x.ndim == 2
  return (_product if wide and fast_on_cpu() else jnp.matmul)(x, kernel)


def _plain_add(x: Array, bias: Array) -> Array:
  return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))


@jax.custom_vjp
def _add(x: Array, bias: Array) -> Array:
  return _plain_add(x, bias)


def _add_back(_, g: Array):
  rows = g.reshape(-1, g.shape[-1])
  return g, jnp.ones((len(rows),), g.dtype) @ rows


_add.defvjp(lambda x, bias: (_plain_add(x, bias), None), _add_back)


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
  return x @ kernel


def _product_back(saved, g: Array):
  x, kernel = saved
  # One reduction for both: as a product of [B, D] and [D, C] XLA packs the
  # kernel, the largest array there is, for the few rows of a batch.
  return (kernel[None] * g[:, None]).sum(axis=-1), x.T @ g


_product.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), _product_back)
