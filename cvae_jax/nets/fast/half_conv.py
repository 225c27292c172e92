"""Convolutions of bfloat16 numbers that are fast on CPU.

They are products of windows, as half_dense.py multiplies. XLA moves bfloat16
numbers as float32, so im2col.py moves them as integers. All maps are
[B, H, W, C], kernels [k, k, in, out].
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from cvae_jax.nets.fast.half_dense import (
  dot,
  dot_columns,
  keep,
  plus,
  row_sums,
  settle,
  transpose,
)
from cvae_jax.nets.fast.im2col import axis_padding, fold, move, patches

_F32 = jnp.float32
_HALF = jnp.bfloat16


def conv(
  x: Array, kernel: Array, bias: Array | None, stride: int, pads
) -> Array:
  """Convolve x [B, H, W, C] and add bias: rounded float32 [B, H', W', D]."""
  return settle(conv_to_half(x, kernel, bias, stride, pads))


def conv_to_half(
  x: Array, kernel: Array, bias: Array | None, stride: int, pads
) -> Array:
  """Convolve x [B, H, W, C] and add bias: bfloat16 [B, H', W', D]."""
  return _conv(keep(x), kernel, bias, stride, pads)


def conv_transpose(
  x: Array, kernel: Array, bias: Array | None, stride: int
) -> Array:
  """Convolve x transposed, add bias: rounded float32 [B, s · H, s · W, D]."""
  k = len(kernel)
  pads = tuple(axis_padding(n * stride, k, stride) for n in x.shape[1:3])
  return settle(_conv_up(keep(x), kernel, bias, stride, pads))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _conv(x: Array, kernel: Array, bias, stride: int, pads) -> Array:
  return _conv_forward(x, kernel, bias, stride, pads)[0]


def _conv_forward(x: Array, kernel: Array, bias, stride: int, pads):
  k, _, _, d = kernel.shape
  windows = keep(patches(x, k, stride, pads))
  rows = windows.reshape(-1, windows.shape[-1])
  taps = kernel.reshape(-1, d).astype(_HALF)
  y = plus(dot(rows, taps), bias).astype(_HALF)
  saved = x if stride == 1 else rows
  return y.reshape(*windows.shape[:3], d), (saved, taps, bias, k)


def _conv_back(stride: int, pads, saved, g: Array):
  x, taps, bias, k = saved
  d = g.shape[-1]
  rows = keep(g).reshape(-1, d)
  windows = dot(rows, taps, transposed=True).reshape(*g.shape[:3], -1)
  dx = fold(windows, k, stride, pads).astype(_HALF)
  if stride == 1:
    dkernel, sums = _kernel_gradient(x, rows, k, pads)
  else:
    up = transpose(rows)
    # The barrier keeps XLA from moving the transposition into the product.
    dkernel = lax.optimization_barrier(dot(up, x)).T
    sums = row_sums(up)
  return dx, dkernel.reshape(k, k, -1, d), None if bias is None else sums


_conv.defvjp(_conv_forward, _conv_back)


def _kernel_gradient(x: Array, g: Array, k: int, pads):
  """Multiply all windows of x [B, H, W, C], stride 1, by rows g [N, D].

  Returns [k · k, C, D] and the sums of g's columns [D], which are the products
  of a channel of ones.
  """
  b, height, width, c = x.shape
  up = transpose(x.reshape(-1, c)).astype(_F32).reshape(c, b, height, width)
  zero = jnp.zeros((), _F32)
  up = lax.pad(up, zero, ((0, 0, 0), (0, 0, 0), *((*pad, 0) for pad in pads)))
  up = keep(jnp.concatenate([up, jnp.ones((1, *up.shape[1:]))]))
  windows = keep(_windows_up(up, k)).reshape(k * k * (c + 1), -1)
  found = dot(windows, g).reshape(k * k, c + 1, -1)
  return found[:, :c], found[0, c]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _windows_up(x: Array, k: int) -> Array:
  """Stack the k×k windows, stride 1, of x [C, B, H, W]: [k · k, C, B, H', W'].

  This order copies whole rows of a map.
  """
  return move(functools.partial(_stack_windows, k=k), x)


def _stack_windows(x: Array, k: int) -> Array:
  height, width = (n - k + 1 for n in x.shape[2:])
  return jnp.stack(
    [x[:, :, i : i + height, j : j + width] for i in range(k) for j in range(k)]
  )


def _windows_up_back(k: int, x: Array, g: Array):
  return jax.linear_transpose(functools.partial(_stack_windows, k=k), x)(g)


_windows_up.defvjp(lambda x, k: (_windows_up(x, k), x), _windows_up_back)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _conv_up(x: Array, kernel: Array, bias, stride: int, pads) -> Array:
  return _up_forward(x, kernel, bias, stride, pads)[0]


def _up_forward(x: Array, kernel: Array, bias, stride: int, pads):
  k, _, c, d = kernel.shape
  taps = kernel[::-1, ::-1].transpose(2, 0, 1, 3).reshape(c, k * k * d)
  taps = taps.astype(_HALF)
  rows = x.reshape(-1, c)
  windows = dot(rows, taps).reshape(*x.shape[:3], -1)
  y = plus(fold(windows, k, stride, pads), bias).astype(_HALF)
  return y, (x, taps, bias, k)


def _up_back(stride: int, pads, saved, g: Array):
  x, taps, bias, k = saved
  g = keep(g)
  c, d = x.shape[-1], g.shape[-1]
  rows = x.reshape(-1, c)
  windows = keep(patches(g, k, stride, pads)).reshape(len(rows), -1)
  dx = dot(windows, taps, transposed=True).astype(_HALF)
  if stride == 1:
    found, _ = _kernel_gradient(g, rows, k, pads)
    dtaps = lax.optimization_barrier(found).transpose(2, 0, 1)
  else:
    dtaps = dot_columns(rows, windows)
  dkernel = dtaps.reshape(c, k, k, d).transpose(1, 2, 0, 3)[::-1, ::-1]
  if bias is not None:
    bias = row_sums(transpose(g.reshape(-1, d)))
  return dx.reshape(x.shape), dkernel, bias


_conv_up.defvjp(_up_forward, _up_back)
