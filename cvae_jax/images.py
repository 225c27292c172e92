"""Images on disk: grids, PNG files, conversions. NumPy and Pillow only."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cvae_jax.files import write_atomically


def to_bytes(images: ArrayLike) -> NDArray[np.uint8]:
  """Maps float images in [0, 1], clipped, to uint8, rounded."""
  images = np.clip(np.asarray(images, np.float32), 0.0, 1.0)
  return np.rint(images * 255.0).astype(np.uint8)


def grid(images: ArrayLike, gap: int = 2, scale: int = 1) -> NDArray[np.uint8]:
  """Lays images [R, P, H, W, C] in [0, 1] out as one picture [H', W', C].

  Args:
    images: R rows of P pictures; uint8 ones are taken as they are.
    gap: grey pixels between pictures.
    scale: whole-number enlargement of each pixel.
  """
  images = np.asarray(images)
  if images.dtype != np.uint8:
    images = to_bytes(images)
  rows, columns, height, width, channels = images.shape
  sheet = np.full(
    (rows * (height + gap) - gap, columns * (width + gap) - gap, channels),
    96,
    np.uint8,
  )
  for r in range(rows):
    for c in range(columns):
      y, x = r * (height + gap), c * (width + gap)
      sheet[y : y + height, x : x + width] = images[r, c]
  return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def thumbnail(picture: NDArray[np.uint8], height: int, width: int) -> NDArray:
  """Shrinks or enlarges [H, W, 3] to [height, width, 3], averaging pixels."""
  size = (max(width, 1), max(height, 1))
  return np.asarray(Image.fromarray(picture).resize(size))


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
  """Writes [H, W, C] with C = 1 or 3, whole or not at all."""
  buffer = io.BytesIO()
  squeezed = picture[..., 0] if picture.shape[-1] == 1 else picture
  Image.fromarray(squeezed).save(buffer, format="PNG")
  write_atomically(path, buffer.getvalue())


def save_grid(path: Path, images: ArrayLike, scale: int = 3) -> None:
  """Writes `grid(images)` as PNG, enlarged so that a person can look."""
  save_png(path, grid(images, scale=scale))
