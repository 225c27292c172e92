"""Operations whose gradients are written so that they are fast on CPU.

On XLA:CPU the plain forms are slow. The gradient of a bias sums rows at a
fortieth of the memory's rate. Every sigmoid is stored for the backward pass. A
small batch times a transposed kernel takes twice as long as the kernel times
the transposed batch. On GPU and TPU the plain forms are fast. `fast_on_cpu`
decides, in one place.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import Array, lax

from cvae_jax.nets.fast import half, half_dense

_PLAIN = contextvars.ContextVar("plain", default=False)


def fast_on_cpu() -> bool:
  """Tell whether to trace the formulations that are fast on CPU."""
  return jax.default_backend() == "cpu" and not _PLAIN.get()


@contextlib.contextmanager
def trace_plain() -> Iterator[None]:
  """Trace the plain formulations on any device, for other programs to read."""
  token = _PLAIN.set(True)
  try:
    yield
  finally:
    _PLAIN.reset(token)


def add_bias(x: Array, bias: Array) -> Array:
  """Add bias [C] to x [..., C]."""
  return (_add if fast_on_cpu() else _plain_add)(x, bias)


def affine(x: Array, kernel: Array, bias: Array) -> Array:
  """Multiply x [..., C] by a kernel [C, D] and add bias [D]."""
  if half.is_fast_on_cpu() and half_dense.is_faster(x, kernel):
    return half_dense.affine(x, kernel, bias)
  return add_bias(product(x, kernel), bias)


def product(x: Array, kernel: Array) -> Array:
  """Multiply x [..., C] by a kernel [C, D]."""
  if half.is_fast_on_cpu():
    if half_dense.is_faster(x, kernel):
      return half_dense.affine(x, kernel)
  elif half.is_on():
    return half.product(x, kernel)
  return (_product if fast_on_cpu() else jnp.matmul)(x, kernel)


@jax.custom_vjp
def silu(x: Array) -> Array:
  """Return x · sigmoid(x); the backward pass keeps only x."""
  return x * jax.nn.sigmoid(x)


def column_sums(x: Array) -> Array:
  """Sum x [..., C] to [C], as a row of ones times a matrix."""
  rows = x.reshape(-1, x.shape[-1])
  return jnp.ones((len(rows),), x.dtype) @ rows


def _silu_back(x: Array, g: Array):
  # By tanh: XLA would share a sigmoid with the forward pass, and store it.
  s = 0.5 + 0.5 * jnp.tanh(0.5 * x)
  return (g * (s * (1.0 + x * (1.0 - s))),)


silu.defvjp(lambda x: (silu(x), x), _silu_back)


def _plain_add(x: Array, bias: Array) -> Array:
  return x + bias.reshape((1,) * (x.ndim - 1) + (-1,))


@jax.custom_vjp
def _add(x: Array, bias: Array) -> Array:
  return _plain_add(x, bias)


_add.defvjp(
  lambda x, bias: (_plain_add(x, bias), None),
  lambda _, g: (g, column_sums(g)),
)


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
  return x @ kernel


def _product_back(saved, g: Array):
  x, kernel = saved
  g = g.reshape(-1, g.shape[-1])
  if len(g) <= len(kernel):
    # The barrier keeps XLA from moving the transposition into the product.
    dx = lax.optimization_barrier(kernel @ g.T).T
  else:
    dx = g @ kernel.T
  return dx.reshape(x.shape), x.reshape(-1, x.shape[-1]).T @ g


_product.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), _product_back)
