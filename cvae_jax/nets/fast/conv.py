"""Convolutions that XLA runs fast on CPU.

XLA:CPU runs a convolution forward at the rate of a matrix product, but
compiles the *gradients* of strided and transposed ones to a slow generic
loop. Here gradients are matrix products of `patches` (im2col) and `fold`
(overlap-add), two linear maps that are each other's transpose. A transposed
convolution is a stride-1 convolution and depth-to-space where the stride
divides the kernel and the map is large, else a matrix product and `fold`.
Convolutions of many channels that are 3×3, or 4×4 with stride 2, are in
winograd.py. On GPU and TPU the ordinary lax convolutions are fast;
`ops.fast_on_cpu` decides.

These gradients have reverse mode only (jax.custom_vjp): jax.grad, jax.vjp and
jax.jacrev work. On CPU jax.jvp, jax.jacfwd and jax.hessian raise a TypeError.
The same holds for the products of ops.py and for SiLU.

All maps are [B, H, W, C], kernels [k, k, in, out].
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cvae_jax.nets.fast import half, half_conv, half_dense, ops, winograd
from cvae_jax.nets.fast.im2col import (
  axis_padding,
  fold,
  move,
  patches,
  place,
  side_by_side,
)

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_SMALL = 8  # pixels a side of a map


def conv(
  x: Array,
  kernel: Array,
  stride: int = 1,
  padding: str = "SAME",
  *,
  bias: Array | None = None,
  fast: bool | None = None,
) -> Array:
  """Convolve x [B, H, W, C] with kernel [k, k, C, D] and add bias [D].

  SAME gives ceil(H / stride) rows, VALID ⌊(H − k) / stride⌋ + 1.
  """
  if half.is_on():
    if half.is_fast_on_cpu():
      pads = _pads(x, kernel, stride, padding)
      return half_conv.conv(x, kernel, bias, stride, pads)
    return _plus(half.conv(x, kernel, stride, padding), bias)
  if ops.fast_on_cpu() if fast is None else fast:
    if padding == "SAME" and winograd.is_faster(x.shape, kernel.shape, stride):
      return _plus(winograd.convolve_down(x, kernel), bias)
    pads = _pads(x, kernel, stride, padding)
    return _conv(x, kernel, bias, stride, pads)
  return _plus(_lax_conv(x, kernel, stride, padding), bias)


def _pads(x: Array, kernel: Array, stride: int, padding: str):
  """Return the padding of both axes of a convolution of x [B, H, W, C]."""
  k = len(kernel)
  return tuple(axis_padding(n, k, stride, padding) for n in x.shape[1:3])


def _lax_conv(x: Array, kernel: Array, stride: int, padding) -> Array:
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, dimension_numbers=_DIMENSIONS
  )


def _plus(x: Array, bias: Array | None) -> Array:
  return x if bias is None else ops.add_bias(x, bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _conv(x: Array, kernel: Array, bias, stride: int, pads) -> Array:
  """Convolve with explicit pads; its gradients are matrix products."""
  return _plus(_lax_conv(x, kernel, stride, pads), bias)


def _conv_back(stride: int, pads, saved, g: Array):
  x, kernel, bias = saved
  k = kernel.shape[0]
  d = kernel.shape[-1]
  windows = patches(x, k, stride, pads)
  dx = fold(_matmul(g, kernel.reshape(-1, d).T), k, stride, pads)
  dkernel = _kernel_gradient(windows, g).reshape(kernel.shape)
  return dx, dkernel, None if bias is None else ops.column_sums(g)


def _kernel_gradient(x: Array, g: Array) -> Array:
  """Contract x [B, H, W, C] and g [B, H, W, D] to [C, D].

  XLA divides a product among cores by its columns, so the wider operand gives
  the columns. The barrier keeps XLA from moving the transposition into the
  product. Where C · D is small, the rows are halved into two products, since
  one would leave a core idle.
  """
  if x.shape[-1] > g.shape[-1]:
    return lax.optimization_barrier(_kernel_gradient(g, x)).T
  rows = x.size // x.shape[-1]
  size = x.shape[-1] * g.shape[-1]
  halves = 1 if rows % 2 or size >= 2**18 else 2
  x, g = (a.reshape(halves, -1, a.shape[-1]) for a in (x, g))
  return jnp.einsum("hnc,hnd->hcd", x, g).sum(axis=0)


_conv.defvjp(
  lambda x, kernel, bias, *how: (
    _conv(x, kernel, bias, *how),
    (x, kernel, bias),
  ),
  _conv_back,
)


def conv_transpose(
  x: Array,
  kernel: Array,
  stride: int = 1,
  *,
  bias: Array | None = None,
  fast: bool | None = None,
) -> Array:
  """Convolve x [B, H, W, C] to [B, stride · H, stride · W, D], SAME padding.

  The kernel [k, k, C, D] is in Flax's orientation: it is not flipped. The
  bias [D] is added.
  """
  if half.is_on() and not half.is_fast_on_cpu():
    return _plus(half.conv_transpose(x, kernel, stride), bias)
  if not (ops.fast_on_cpu() if fast is None else fast):
    y = lax.conv_transpose(
      x, kernel, (stride, stride), "SAME", dimension_numbers=_DIMENSIONS
    )
    return _plus(y, bias)
  k, _, c, d = kernel.shape
  if half.is_on():
    if k > stride > 1 and k % stride == 0:
      return _subpixel(x, kernel, bias, stride)
    return half_conv.conv_transpose(x, kernel, bias, stride)
  y_shape = (len(x), *(stride * n for n in x.shape[1:3]))
  if winograd.is_faster(y_shape, kernel.shape, stride):
    return _plus(winograd.convolve_up(x, kernel), bias)
  # Depth-to-space computes a row and a column too many: much on small maps.
  large = min(x.shape[1:3]) > _SMALL
  # It moves 4C values for each pixel, plain products move k²D.
  less = stride**2 * d > c
  if k > stride > 1 and k % stride == 0 and large and less:
    return _subpixel(x, kernel, bias, stride)
  pads = tuple(axis_padding(n * stride, k, stride) for n in x.shape[1:3])
  taps = kernel[::-1, ::-1].transpose(2, 0, 1, 3).reshape(c, k * k * d)
  return _plus(fold(_matmul(x, taps), k, stride, pads), bias)


def _subpixel(x: Array, kernel: Array, bias, s: int) -> Array:
  """Convolve transposed, k = m · s: stride 1 to s² · D, depth-to-space.

  An output pixel depends on m × m inputs. So this moves m² · C values for each
  pixel of the small map, and products with all taps would move k² · D.
  """
  k, _, c, d = kernel.shape
  m = k // s
  low = (k - s) // 2
  # Output row s · Y + a − low takes tap s · p + a of input row Y − p.
  taps = kernel[::-1, ::-1].reshape(m, s, m, s, c, d)[::-1, :, ::-1]
  taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(m, m, c, s * s * d)
  if bias is not None:
    bias = jnp.tile(bias, s * s)
  pads = ((m - 1, m - 1),) * 2
  crop = low, k - s - low
  if half.is_on():
    y = half_conv.conv_to_half(x, taps, bias, 1, pads)
    return half_dense.settle(_depth_to_space(y, s, crop))
  return _depth_to_space(_conv(x, taps, bias, 1, pads), s, crop)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _depth_to_space(y: Array, s: int, crop: tuple[int, int]) -> Array:
  """Spread y [B, H, W, s · s · C] to [B, s · H, s · W, C] less a margin.

  Args:
    crop: how many rows are cut off above and below, and columns beside.
  """
  b, height, width, _ = y.shape
  y = y.reshape(b, height, width, s, s, -1).transpose(0, 1, 3, 2, 4, 5)
  y = y.reshape(b, height * s, width * s, -1)
  low, high = crop
  return y[:, low : height * s - high, low : width * s - high]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _space_to_depth(g: Array, s: int, crop: tuple[int, int]) -> Array:
  """Transpose `_depth_to_space`."""
  return move(lambda g: _parts(g, s, crop), g)


def _parts(g: Array, s: int, crop: tuple[int, int]) -> Array:
  # XLA would copy a transposition for each of its readers. Parts that are
  # joined side by side are written once.
  low, _ = crop
  size = [(n + sum(crop)) // s for n in g.shape[1:3]]
  parts = []
  for a, e in np.ndindex(s, s):
    i = (a - low) % s
    j = (e - low) % s  # the first of parity (a, e)
    part = g[:, i::s, j::s]
    parts.append(place(part, (i + low) // s, (j + low) // s, *size))
  return side_by_side(parts)


_space_to_depth.defvjp(
  lambda g, *how: (_space_to_depth(g, *how), None),
  lambda s, crop, _, y: (_depth_to_space(y, s, crop),),
)
_depth_to_space.defvjp(
  lambda y, *how: (_depth_to_space(y, *how), None),
  lambda s, crop, _, g: (_space_to_depth(g, s, crop),),
)


def _matmul(x: Array, w: Array) -> Array:
  """Multiply x [B, H, W, C] by w [C, D] as a matrix of B · H · W rows.

  With one contracted axis the kernel's gradient needs no transposed copy of
  the patches. With three contracted axes XLA would make one.
  """
  return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], -1)
