"""Convolutions of 4×4 and stride 2 by Winograd's F(2×2, 2×2), for CPU.

Such a convolution has 2×2 taps once two rows and two columns of the large map
lie beside each other as channels. Along an axis two outputs, d₀g₀ + d₁g₁ and
d₁g₀ + d₂g₁, then take three products and not four (Lavin & Gray 2016):

  (d₀ − d₁) g₀,  d₁ (g₀ + g₁),  (d₁ − d₂) g₁.

So linear maps bring the large map, the small one and the kernel to nine
matrices each, "points"; a convolution, a transposed one and the gradient of a
kernel are the products of two of them, 1.78 times fewer multiplications than
the taps', brought back by the transpose of the third one's map. That pays
where there are many channels.

Large maps are [B, 2H, 2W, C] and small ones [B, H, W, D], H and W even.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

CHANNELS = 64  # from so many on it is faster


def suits(large: Sequence[int], kernel: Sequence[int], stride: int) -> bool:
  """Says whether convolutions of these shapes, SAME, are faster so."""
  even = large[1] % 4 == large[2] % 4 == 0
  wide = min(kernel[2:]) >= CHANNELS
  return tuple(kernel[:2]) == (4, 4) and stride == 2 and even and wide


@jax.custom_vjp
def down(x: Array, kernel: Array) -> Array:
  """Convolves the large x with kernel [4, 4, C, D] to a small map."""
  return _down(x, kernel)[0]


def _down(x: Array, kernel: Array):
  b, height, width, _ = x.shape
  v, u = _of_large(x), _of_kernel(kernel)
  small = (b, height // 2, width // 2, kernel.shape[-1])
  y = _back(_of_small, small, [v @ u for v, u in zip(v, u, strict=True)])
  return y, (v, kernel, x.shape)


def _down_back(saved, g: Array):
  v, kernel, large = saved
  g = _of_small(g)
  pairs = zip(g, _of_kernel(kernel), strict=True)
  dx = _back(_of_large, large, [g @ u.T for g, u in pairs])
  du = [v.T @ g for v, g in zip(v, g, strict=True)]
  return dx, _back(_of_kernel, kernel.shape, du)


down.defvjp(_down, _down_back)


@jax.custom_vjp
def up(x: Array, kernel: Array) -> Array:
  """Convolves the small x transposed to a large map.

  The kernel [4, 4, D, C] is in Flax's orientation: it is not flipped.
  """
  b, height, width, _ = x.shape
  large = (b, 2 * height, 2 * width, kernel.shape[-1])
  pairs = zip(_of_small(x), _of_flipped(kernel), strict=True)
  return _back(_of_large, large, [x @ u for x, u in pairs])


def _up_back(saved, g: Array):
  x, kernel = saved
  v, m, u = _of_large(g), _of_small(x), _of_flipped(kernel)
  dx = [v @ u.T for v, u in zip(v, u, strict=True)]
  du = [m.T @ v for m, v in zip(m, v, strict=True)]
  return (
    _back(_of_small, x.shape, dx),
    _back(_of_flipped, kernel.shape, du),
  )


up.defvjp(lambda x, kernel: (up(x, kernel), (x, kernel)), _up_back)


def _back(points, shape: Sequence[int], matrices: list[Array]) -> Array:
  """Applies the transpose of a map to points of arrays of this shape."""
  like = jax.ShapeDtypeStruct(tuple(shape), matrices[0].dtype)
  (x,) = jax.linear_transpose(points, like)(matrices)
  return x


def _of_large(x: Array) -> list[Array]:
  """Gives the points of tiles of 6×6, 4 apart: 9 × [B · H/2 · W/2, 4C]."""
  b, height, width, c = x.shape
  rows, columns = height // 4, width // 4
  # One row of padding above and, to have whole tiles, three below.
  x = lax.pad(x, jnp.zeros((), x.dtype), _EDGES)
  x = x.reshape(b, rows + 1, 2, 2, columns + 1, 2, 2, c)
  points = [q for p in _thirds(x, axis=1) for q in _thirds(p, axis=3)]
  # [B, H/2, row, W/2, column, C]
  return [p.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4 * c) for p in points]


_EDGES = ((0, 0, 0), (1, 3, 0), (1, 3, 0), (0, 0, 0))


def _thirds(x: Array, axis: int) -> tuple[Array, ...]:
  """Combines d₀, d₁ and d₂; a tile's d₂ is the next one's d₀."""
  last = x.shape[axis] - 1

  def of_tiles(start: int, index: int) -> Array:
    part = lax.slice_in_dim(x, start, start + last, axis=axis)
    return lax.index_in_dim(part, index, axis + 1, keepdims=False)

  d0, d1, d2 = of_tiles(0, 0), of_tiles(0, 1), of_tiles(1, 0)
  return d0 - d1, d1, d1 - d2


def _of_small(y: Array) -> list[Array]:
  """Gives the points of tiles of 2×2: 9 × [B · H/2 · W/2, D]."""
  b, height, width, d = y.shape
  y = y.reshape(b, height // 2, 2, width // 2, 2, d)
  points = [q for p in _signed(y, axis=2) for q in _signed(p, axis=3)]
  return [p.reshape(-1, d) for p in points]


def _signed(y: Array, axis: int) -> tuple[Array, ...]:
  y0, y1 = _two(y, axis)
  return y0, y0 + y1, -y1


def _of_kernel(kernel: Array) -> list[Array]:
  """Gives the points of a kernel [4, 4, C, D]: 9 × [4C, D]."""
  c, d = kernel.shape[2:]
  return [u.reshape(4 * c, d) for u in _of_taps(kernel)]


def _of_flipped(kernel: Array) -> list[Array]:
  """Gives the points of a flipped kernel [4, 4, D, C]: 9 × [D, 4C]."""
  d, c = kernel.shape[2:]
  points = _of_taps(kernel[::-1, ::-1])
  return [u.transpose(2, 0, 1, 3).reshape(d, 4 * c) for u in points]


def _of_taps(kernel: Array) -> list[Array]:
  """Gives 9 × [2, 2, …]: what a tap has of two rows and two columns."""
  taps = kernel.reshape(2, 2, 2, 2, *kernel.shape[2:])
  return [q for p in _summed(taps, axis=0) for q in _summed(p, axis=1)]


def _summed(taps: Array, axis: int) -> tuple[Array, ...]:
  g0, g1 = _two(taps, axis)
  return g0, g0 + g1, g1


def _two(x: Array, axis: int) -> tuple[Array, Array]:
  """Splits an axis of two."""
  first, second = jnp.split(x, 2, axis)
  return first.squeeze(axis), second.squeeze(axis)
