"""Convolutions by Winograd's F(2×2, r×r), fast on CPU where there are channels.

They are for kernels of 3×3 with stride 1 (r = 3) and of 4×4 with stride 2.
The latter have 2×2 taps (r = 2) once two rows and two columns of the large map
are laid side by side as channels. Along an axis two outputs, d₀g₀ + d₁g₁ and
d₁g₀ + d₂g₁, take three products instead of four (Lavin & Gray 2016):

  (d₀ − d₁) g₀,  d₁ (g₀ + g₁),  (d₁ − d₂) g₁.

So three linear maps turn the large map, the small map and the kernel into
(r + 1)² matrices each, called points. A convolution, a transposed convolution
and the gradient of a kernel are each the product of two of them, to which the
transpose of the third linear map is applied. This takes 1.78 (r = 2) or 2.25
times fewer multiplications.

Large maps are [B, s · H, s · W, C] at stride s, small ones [B, H, W, D], H and
W even.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

# By the kernel's size: its stride, and how many channels make it faster.
STRIDE = {3: 1, 4: 2}
CHANNELS = {3: 128, 4: 64}

# {r: the weights of a tile's rows (or columns) in each point}.
LARGE = {
  2: ((1, -1, 0), (0, 1, 0), (0, 1, -1)),
  3: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
}
SMALL = {
  2: ((1, 0), (1, 1), (0, -1)),
  3: ((1, 0), (1, 1), (1, -1), (0, -1)),
}
KERNEL = {
  2: ((1, 0), (1, 1), (0, 1)),
  3: ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
}


def is_faster(large: Sequence[int], kernel: Sequence[int], stride: int) -> bool:
  """Tell whether SAME convolutions of these shapes are faster this way."""
  k = kernel[0]
  step = 2 * stride
  tiles = large[1] % step == large[2] % step == 0
  return STRIDE.get(k) == stride and tiles and min(kernel[2:]) >= CHANNELS[k]


@jax.custom_vjp
def convolve_down(x: Array, kernel: Array) -> Array:
  """Convolve the large x with kernel [k, k, C, D] to a small map."""
  return _convolve_down(x, kernel)[0]


def _convolve_down(x: Array, kernel: Array):
  k, _, _, d = kernel.shape
  maps = _Maps(k)
  b, height, width, _ = x.shape
  small = (b, height // maps.s, width // maps.s, d)
  v = maps.large(x)
  u = maps.kernel(kernel)
  y = _back(maps.small, small, [v @ u for v, u in zip(v, u, strict=True)])
  return y, (v, kernel, x.shape)


def _down_back(saved, g: Array):
  v, kernel, large = saved
  maps = _Maps(len(kernel))
  g = maps.small(g)
  pairs = zip(g, maps.kernel(kernel), strict=True)
  dx = _back(maps.large, large, [g @ u.T for g, u in pairs])
  du = [v.T @ g for v, g in zip(v, g, strict=True)]
  return dx, _back(maps.kernel, kernel.shape, du)


convolve_down.defvjp(_convolve_down, _down_back)


@jax.custom_vjp
def convolve_up(x: Array, kernel: Array) -> Array:
  """Convolve the small x transposed to a large map.

  The kernel [k, k, D, C] is in Flax's orientation: it is not flipped.
  """
  k, _, _, c = kernel.shape
  maps = _Maps(k)
  b, height, width, _ = x.shape
  large = (b, maps.s * height, maps.s * width, c)
  pairs = zip(maps.small(x), maps.flip(kernel), strict=True)
  return _back(maps.large, large, [x @ u for x, u in pairs])


def _up_back(saved, g: Array):
  x, kernel = saved
  maps = _Maps(len(kernel))
  v = maps.large(g)
  m = maps.small(x)
  u = maps.flip(kernel)
  dx = [v @ u.T for v, u in zip(v, u, strict=True)]
  du = [m.T @ v for m, v in zip(m, v, strict=True)]
  return (
    _back(maps.small, x.shape, dx),
    _back(maps.flip, kernel.shape, du),
  )


convolve_up.defvjp(
  lambda x, kernel: (convolve_up(x, kernel), (x, kernel)), _up_back
)


def _back(points, shape: Sequence[int], matrices: list[Array]) -> Array:
  """Apply the transpose of a map to points of arrays of this shape."""
  like = jax.ShapeDtypeStruct(tuple(shape), matrices[0].dtype)
  (x,) = jax.linear_transpose(points, like)(matrices)
  return x


class _Maps:
  """The linear maps to the points, of kernels k×k; n = (r + 1)²."""

  def __init__(self, k: int):
    self.s = STRIDE[k]
    self.r = k // self.s

  def large(self, x: Array) -> list[Array]:
    """Return the points of a large map: n × [B · H/2 · W/2, s² · C]."""
    (b, height, width, c), s, step = x.shape, self.s, 2 * self.s
    rows = height // step
    columns = width // step
    # One row of padding above, the rest below, so that tiles are whole.
    edges = ((0, 0, 0), (1, step - 1, 0), (1, step - 1, 0), (0, 0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), edges)
    x = x.reshape(b, rows + 1, 2, s, columns + 1, 2, s, c)
    mix = LARGE[self.r]
    points = [q for p in _mix_tiles(x, 1, mix) for q in _mix_tiles(p, 3, mix)]
    # [B, H/2, row, W/2, column, C]
    points = [p.transpose(0, 1, 3, 2, 4, 5) for p in points]
    return [p.reshape(-1, s * s * c) for p in points]

  def small(self, y: Array) -> list[Array]:
    """Return the points of a small map: n × [B · H/2 · W/2, D]."""
    b, height, width, d = y.shape
    y = y.reshape(b, height // 2, 2, width // 2, 2, d)
    mix = SMALL[self.r]
    points = [q for p in _mix_rows(y, 2, mix) for q in _mix_rows(p, 3, mix)]
    return [p.reshape(-1, d) for p in points]

  def kernel(self, kernel: Array) -> list[Array]:
    """Return the points of a kernel [k, k, C, D]: n × [s² · C, D]."""
    return [u.reshape(-1, u.shape[-1]) for u in self._taps(kernel)]

  def flip(self, kernel: Array) -> list[Array]:
    """Return the points of a kernel [k, k, D, C], flipped: n × [D, s² · C]."""
    points = self._taps(kernel[::-1, ::-1])
    return [u.transpose(2, 0, 1, 3).reshape(u.shape[2], -1) for u in points]

  def _taps(self, kernel: Array) -> list[Array]:
    """Return n × [s, s, …]."""
    r = self.r
    s = self.s
    taps = kernel.reshape(r, s, r, s, *kernel.shape[2:])
    mix = KERNEL[r]
    return [q for p in _mix_rows(taps, 0, mix) for q in _mix_rows(p, 1, mix)]


def _mix_tiles(x: Array, axis: int, mix) -> list[Array]:
  """Mix a tile's rows: its own two and the first ones of the next tile."""
  last = x.shape[axis] - 1
  rows = []
  for i in range(len(mix[0])):
    start, index = divmod(i, 2)
    part = lax.slice_in_dim(x, start, start + last, axis=axis)
    rows.append(lax.index_in_dim(part, index, axis + 1, keepdims=False))
  return [_sum(row, rows) for row in mix]


def _mix_rows(x: Array, axis: int, mix) -> list[Array]:
  parts = jnp.unstack(x, axis=axis)
  return [_sum(row, parts) for row in mix]


def _sum(weights: Sequence[float], parts: Sequence[Array]) -> Array:
  """Sum weighted parts; parts of weight 0 are not read."""
  pairs = zip(weights, parts, strict=True)
  return functools.reduce(jnp.add, [w * part for w, part in pairs if w])
