"""Windows of maps (im2col) and their sums (overlap-add), fast on CPU.

`patches` and `fold` are linear maps that are each other's transpose, so each
is the other's gradient. All maps are [B, H, W, C].
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax


def axis_padding(n: int, k: int, stride: int, padding: str = "SAME"):
  """Return (low, high) padding of an axis of n, as TensorFlow defines it.

  High is negative where the last rows are in no window. So n follows from the
  pads and the number of windows, which `fold` needs.
  """
  windows = (n - k) // stride + 1 if padding == "VALID" else -(-n // stride)
  total = (windows - 1) * stride + k - n
  low = 0 if padding == "VALID" else max(total, 0) // 2
  return low, total - low


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def patches(x: Array, k: int, stride: int, pads) -> Array:
  """Cut x [B, H, W, C] into k×k windows: [B, H', W', k · k · C]."""
  return move(lambda x: _patches(x, k, stride, pads), x)


def _patches(x: Array, k: int, stride: int, pads) -> Array:
  rows, columns = (
    (n + lo + hi - k) // stride + 1
    for n, (lo, hi) in zip(x.shape[1:3], pads, strict=True)
  )
  zero = jnp.zeros((), x.dtype)
  x = lax.pad(x, zero, ((0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0)))
  windows = [
    x[
      :,
      i : i + (rows - 1) * stride + 1 : stride,
      j : j + (columns - 1) * stride + 1 : stride,
    ]
    for i in range(k)
    for j in range(k)
  ]
  return side_by_side(windows)


def move(moved: Callable, x: Array) -> Array:
  """Call `moved`, which only moves numbers, with bfloat16 ones as integers.

  XLA:CPU moves bfloat16 numbers as float32 and rounds them afterwards. It has
  no gradient: the caller is a custom_vjp.
  """
  if x.dtype != jnp.bfloat16:
    return moved(x)
  bits = lax.bitcast_convert_type(x, jnp.uint16)
  return lax.bitcast_convert_type(moved(bits), jnp.bfloat16)


def side_by_side(parts: Sequence[Array]) -> Array:
  """Join maps [B, H, W, C] along their channels.

  On an axis of their own, which costs nothing, XLA:CPU joins numbers of 16
  bits three times as fast, and those of 32 bits not slower.
  """
  return jnp.stack(parts, axis=3).reshape(*parts[0].shape[:3], -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def fold(p: Array, k: int, stride: int, pads) -> Array:
  """Add windows p [B, H', W', k · k · C] up: the transpose of `patches`."""
  b, rows, columns, n = p.shape
  p = p.reshape(b, rows, columns, k, k, n // (k * k))
  height, width = (
    (m - 1) * stride + k - lo - hi
    for m, (lo, hi) in zip((rows, columns), pads, strict=True)
  )
  # A parity class holds the outputs of equal row and column modulo the stride.
  # It is a sum of shifted taps, so no tap is multiplied with the zeros of a
  # dilated input. All classes have one size; an odd row or column is cut off.
  size = -(-height // stride), -(-width // stride)
  classes = [
    [_parity(p, a, e, stride, pads, *size) for e in range(stride)]
    for a in range(stride)
  ]
  rows = [jnp.stack(row, axis=3) for row in classes]
  x = jnp.stack(rows, axis=2).reshape(b, *(n * stride for n in size), -1)
  return x[:, :height, :width]


def _parity(p: Array, a: int, e: int, s: int, pads, height: int, width: int):
  """Sum the taps that land on rows a mod s and columns e mod s."""
  k = p.shape[3]
  (top, _), (left, _) = pads
  total = None
  for i in range((a + top) % s, k, s):
    for j in range((e + left) % s, k, s):
      # Window (y, x), tap (i, j) lands on row s·y + i − top.
      tap = p[:, :, :, i, j]
      dy = (i - top - a) // s
      dx = (j - left - e) // s
      tap = place(tap, dy, dx, height, width)
      total = tap if total is None else total + tap
  if total is None:  # a kernel smaller than the stride skips some rows
    return jnp.zeros((p.shape[0], height, width, p.shape[-1]), p.dtype)
  return total


def place(x: Array, dy: int, dx: int, height: int, width: int) -> Array:
  """Move x [B, H, W, C] by (dy, dx) onto a zero map [B, height, width, C]."""
  zero = jnp.zeros((), x.dtype)
  rows = (dy, height - x.shape[1] - dy, 0)
  columns = (dx, width - x.shape[2] - dx, 0)
  return lax.pad(x, zero, ((0, 0, 0), rows, columns, (0, 0, 0)))


patches.defvjp(
  lambda x, *how: (patches(x, *how), None),
  lambda k, stride, pads, _, g: (fold(g, k, stride, pads),),
)
fold.defvjp(
  lambda p, *how: (fold(p, *how), None),
  lambda k, stride, pads, _, g: (patches(g, k, stride, pads),),
)
