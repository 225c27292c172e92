"""Products of bfloat16 numbers that are fast on CPU.

XLA:CPU multiplies bfloat16 matrices by YNNPACK, which uses a processor's
matrix unit (AMX). Four things decide how fast that is:

- The result must be float32, and the left matrix must not be transposed.
  `transpose` makes the transposed copy, by a product with the identity: XLA
  would move a plain transposition into the loop of its reader.
- Such a product takes less time than to read and write what it needs. So maps
  between layers are written as bfloat16, half as large.
- XLA would compute a map anew for each window that reads it. `keep` and
  `settle` have it written down, by barriers that stay (loop/precision.py).
- XLA moves bfloat16 numbers as float32. im2col.py moves them as integers.

A layer's operands and its result are rounded; it sums in float32, and between
the layers there is float32, which XLA does not write down. All maps are
[B, H, W, C], kernels [k, k, in, out].
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

_F32 = jnp.float32
_HALF = jnp.bfloat16
_MANY = 64  # rows from which a product saves more than rounding a kernel takes
_SOME = 16  # rows, if the result is a map
_MAP = 4096  # features of a dense layer's result from which it is a map
_ONES = 8  # rows of ones: XLA would compute a product of one row by itself


def is_faster(x: Array, kernel: Array) -> bool:
  """Tell whether a product of x [..., C] and kernel [C, D] gains by rounding.

  The kernel is rounded in each step, which takes as long as a product of a few
  rows.
  """
  rows = x.size // x.shape[-1]
  return rows >= _MANY or (rows >= _SOME and kernel.shape[1] >= _MAP)


def affine(x: Array, kernel: Array, bias: Array | None = None) -> Array:
  """Multiply x [..., C] by a kernel [C, D] and add bias: float32 [..., D]."""
  rows = x.reshape(-1, x.shape[-1])
  y = _affine(keep(rows), kernel, bias)
  if y.shape[1] >= _MAP:
    y = settle(y.astype(_HALF))
  return y.reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def keep(x: Array) -> Array:
  """Round x to bfloat16 and write it down."""
  return lax.optimization_barrier(x.astype(_HALF))


@jax.custom_vjp
def settle(y: Array) -> Array:
  """Write bfloat16 y down, and later its gradient; return it as float32."""
  return lax.optimization_barrier(y).astype(_F32)


keep.defvjp(lambda x: (keep(x), None), lambda _, g: (g.astype(_F32),))
settle.defvjp(lambda y: (settle(y), None), lambda _, g: (keep(g),))


@jax.custom_vjp
def _affine(x: Array, kernel: Array, bias: Array | None) -> Array:
  return _affine_forward(x, kernel, bias)[0]


def _affine_forward(x: Array, kernel: Array, bias: Array | None):
  taps = kernel.astype(_HALF)
  return plus(dot(x, taps), bias), (x, taps, bias)


def _affine_back(saved, g: Array):
  x, taps, bias = saved
  g = keep(g)
  dx = dot(g, taps, transposed=True).astype(_HALF)
  dkernel = dot_columns(x, g)
  return dx, dkernel, None if bias is None else column_sums(g)


_affine.defvjp(_affine_forward, _affine_back)


def plus(y: Array, bias: Array | None) -> Array:
  """Add a bias, if there is one."""
  if bias is None:
    return y
  return y + bias.reshape((1,) * (y.ndim - 1) + (-1,))


def dot(x: Array, y: Array, transposed: bool = False) -> Array:
  """Multiply x [N, C] by y [C, D], or [D, C] if transposed: float32 [N, D]."""
  contracted = ((1,), (1 if transposed else 0,)), ((), ())
  return lax.dot_general(x, y, contracted, preferred_element_type=_F32)


def dot_columns(x: Array, y: Array) -> Array:
  """Multiply the transposed x [N, C] by y [N, D]: float32 [C, D]."""
  if x.shape[1] < y.shape[1]:
    return dot(transpose(x), y)
  return lax.optimization_barrier(dot(transpose(y), x)).T


def transpose(x: Array) -> Array:
  """Transpose x [N, C], exactly: each sum has one term that is not 0."""
  identity = jnp.eye(x.shape[1], dtype=_HALF)
  return keep(dot(identity, x, transposed=True))


def row_sums(x: Array) -> Array:
  """Sum bfloat16 x [C, N] to float32 [C]."""
  return dot(x, jnp.ones((x.shape[1], _ONES), _HALF))[:, 0]


def column_sums(x: Array) -> Array:
  """Sum bfloat16 x [N, C] to float32 [C]."""
  ones = jnp.ones((_ONES, len(x)), _HALF)
  return lax.optimization_barrier(dot(ones, x))[0]
