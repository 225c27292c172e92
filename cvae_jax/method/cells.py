"""A photo as 14 × 14 cells: grey surroundings in, colour out.

Letters: N photos of SIDE × SIDE pixels, B cells; cell 14 i + j is in row i and
column j. Up to the mean over a cell, all numbers are whole or come from a
table. The additions of the mean have a fixed order. So the bits are the same
on any device, and the same as NumPy's (tests/colour_cells_test.py).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

GRID = 14
SIDE = 112  # cells, and pixels, a side
CELLS = GRID * GRID
CELL = SIDE // GRID
FACTORS = (8, 4, 2, 1)  # shrinking a window to 14 × 14; windows 112 to 14
POSITIONS = (2, 7)  # how many features may say where a cell is

_STEP = np.arange(256) / 255.0
_BYTE = _STEP.astype(np.float32)
_QUARTERS = (np.arange(4 * 255 + 1) / 1020.0).astype(np.float32)
_ANGLE = 2.0 * np.pi * np.arange(180) / 180.0
_VECTOR = np.stack(
  [np.outer(_STEP, np.cos(_ANGLE)), np.outer(_STEP, np.sin(_ANGLE))], axis=-1
).astype(np.float32)  # [chroma, hue, 2]
_SHARE = np.zeros(256, np.int32)  # hue units of a channel difference, 20.12
_SHARE[1:] = np.rint(180 * 4096 / (6.0 * np.arange(1, 256)))


def grey(rgb: Array) -> Array:
  """Return BT.601 grey int32 [...] of uint8 [..., 3], OpenCV's fixed point."""
  r, g, b = jnp.moveaxis(rgb.astype(jnp.int32), -1, 0)
  return (9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15


def hue_and_chroma(rgb: Array) -> tuple[Array, Array]:
  """Return hue 0..179, OpenCV's 8-bit one, and max − min 0..255 of uint8."""
  r, g, b = jnp.moveaxis(rgb.astype(jnp.int32), -1, 0)
  top = jnp.maximum(jnp.maximum(r, g), b)
  chroma = top - jnp.minimum(jnp.minimum(r, g), b)
  blue_or_green = jnp.where(top == g, b - r + 2 * chroma, r - g + 4 * chroma)
  sextant = jnp.where(top == r, g - b, blue_or_green)
  hue = (sextant * jnp.asarray(_SHARE)[chroma] + (1 << 11)) >> 12
  return jnp.where(hue < 0, hue + 180, hue), chroma


def targets(rgb: Array, cell: Array) -> Array:
  """Return the mean colour vector (x, y) [B, 2] of a cell of each photo.

  x + iy is chroma / 255 at the angle of the hue, averaged over the cell's
  8 × 8 pixels. Opposite hues cancel.

  Args:
    rgb: uint8 [B, SIDE, SIDE, 3].
    cell: [B], 0..195.
  """
  blocks = rgb.reshape(-1, GRID, CELL, GRID, CELL, 3)
  i = cell // GRID
  j = cell % GRID
  block = blocks[jnp.arange(len(cell)), i, :, j].reshape(-1, CELL * CELL, 3)
  hue, chroma = hue_and_chroma(block)
  total = _add_up(jnp.asarray(_VECTOR)[chroma, hue])
  return total * np.float32(1 / CELL**2)


def _add_up(vectors: Array) -> Array:
  """Add [B, 64, 2] up in a fixed order, half to half: [B, 2]."""
  while (half := vectors.shape[1] // 2) > 0:
    vectors = vectors[:, :half] + vectors[:, half:]
  return vectors[:, 0]


def pyramid(
  grey: Array, photo: Array, cell: Array, *, whole_bytes: bool
) -> Array:
  """Cut the four grey windows around cells: [B, 4, 14, 14] in [0, 1].

  The windows are 112 (the whole photo), 56, 28 and 14 pixels wide and black
  outside the photo. Shrinking takes the mean of the middle 2 × 2 pixels of
  each square and no others, which is OpenCV's bilinear resize.

  Args:
    grey: whole numbers 0..255 [N, SIDE, SIDE].
    photo: [B], which of the N photos.
    cell: [B], 0..195.
    whole_bytes: round the first level to a 255th. The source trains on it
      rounded and colours photos with it unrounded.
  """
  top = grey.reshape(-1, GRID, CELL, GRID, CELL)[:, :, 3:5, :, 3:5]
  top = top.astype(jnp.int32).sum(axis=(2, 4))
  if whole_bytes:
    top = jnp.asarray(_BYTE)[(top + 2) >> 2]
  else:
    top = jnp.asarray(_QUARTERS)[top]
  levels = [top[photo]]
  levels += [_window(grey, photo, cell, factor) for factor in FACTORS[1:]]
  return jnp.stack(levels, axis=1)


def _window(grey: Array, photo: Array, cell: Array, factor: int) -> Array:
  """Cut and shrink the window of 14 · factor pixels, [B, 14, 14]."""
  taps = np.arange(min(factor, 2)) + (factor - 1) // 2
  offsets = (factor * np.arange(GRID)[:, None] + taps).reshape(1, -1)
  offsets = offsets + CELL // 2 - GRID * factor // 2
  rows = CELL * (cell // GRID)[:, None] + offsets
  columns = CELL * (cell % GRID)[:, None] + offsets
  inside = [(at >= 0) & (at < SIDE) for at in (rows, columns)]
  rows, columns = (jnp.clip(at, 0, SIDE - 1) for at in (rows, columns))
  pixels = grey[photo[:, None, None], rows[:, :, None], columns[:, None]]
  seen = inside[0][:, :, None] & inside[1][:, None]
  pixels = jnp.where(seen, pixels.astype(jnp.int32), 0)
  if factor == 1:
    return jnp.asarray(_BYTE)[pixels]
  shape = (-1, GRID, 2, GRID, 2)
  return jnp.asarray(_QUARTERS)[pixels.reshape(shape).sum(axis=(2, 4))]


def positions(cell: Array, count: int) -> Array:
  """Return the positions of cells, [B, count] in [0, 1].

  They are the row and the column. With a count of 7 the distances to the four
  corners and to the middle follow. `count` is one of POSITIONS.
  """
  return jnp.asarray(_positions()[:, :count])[cell]


def _positions() -> np.ndarray:
  last = GRID - 1
  at = np.indices((GRID, GRID)).reshape(2, -1).T / last
  corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
  away = [np.hypot(*(at - corner).T) / np.sqrt(2) for corner in corners]
  middle = np.hypot(*(at - 0.5).T) / np.sqrt(0.5)
  return np.column_stack([at, *away, middle]).astype(np.float32)
