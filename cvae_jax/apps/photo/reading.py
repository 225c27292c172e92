"""Any image → 8-bit RGB, upright, at a working size."""

from pathlib import Path

import numpy as np
from PIL import Image

from cvae_jax.apps.photo.errors import PhotoError
from cvae_jax.data import DataError
from cvae_jax.data.files import decoding

MIN_SIZE = 8  # px, smallest picture accepted
WORK = (256, 768)  # the longest side is brought into this range


def load_rgb(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
  """Read a picture upright as uint8 [H, W, 3], at most twice the work size.

  What is white in wide samples, `cvae_jax.data.files.decoding` says.

  Raises:
    PhotoError: it cannot be read, or is too small.
  """
  name = str(image) if isinstance(image, str | Path) else "the image"
  picture = _read(image)
  if min(picture.size) < MIN_SIZE:
    width, height = picture.size
    raise PhotoError(
      f"{name} is {width}×{height} px, expected at least "
      f"{MIN_SIZE}×{MIN_SIZE}: take a larger picture"
    )
  # Large photos shrink here, as 8-bit samples, before any float arithmetic.
  picture.thumbnail((2 * WORK[1],) * 2, Image.Resampling.BOX)
  pixels = np.asarray(picture)
  return _flatten_alpha(pixels) if picture.mode == "RGBA" else pixels


def _read(image: str | Path | Image.Image | np.ndarray) -> Image.Image:
  try:
    if isinstance(image, str | Path):
      return decoding.read(image, WORK[1])
    if isinstance(image, Image.Image | np.ndarray):
      return decoding.convert(image)
  except DataError as error:
    raise PhotoError(str(error)) from error
  raise PhotoError(
    f"found a {type(image).__name__}, expected a file name, a PIL image or a "
    "NumPy array: pass one of these"
  )


def _flatten_alpha(rgba: np.ndarray) -> np.ndarray:
  """Blend uint8 [H, W, 4] with a backdrop that keeps the digit visible."""
  colour = rgba[:, :, :3].astype(np.float32)
  alpha = rgba[:, :, 3:].astype(np.float32) / 255
  opaque = colour[rgba[:, :, 3] > 127]
  if not len(opaque):
    return np.zeros_like(rgba[:, :, :3])
  if len(opaque) < 0.5 * alpha.size:
    # The ink alone is opaque: black or white, whichever is farther from it.
    backdrop = 255.0 if opaque.mean() < 127.5 else 0.0
  else:
    # Paper with holes or soft corners: continue the paper.
    backdrop = np.median(opaque, axis=0)
  return np.rint(alpha * colour + (1 - alpha) * backdrop).astype(np.uint8)


def resize_for_work(rgb: np.ndarray) -> tuple[np.ndarray, float]:
  """Resize to the work range; also return the px a source pixel became."""
  height, width = rgb.shape[:2]
  longest = max(height, width)
  target = min(max(longest, WORK[0]), WORK[1])
  if target == longest:
    return rgb.astype(np.float32), 1.0
  scale = target / longest
  size = (max(1, round(width * scale)), max(1, round(height * scale)))
  method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
  picture = Image.fromarray(rgb).resize(size, method)
  return np.asarray(picture, np.float32), max(scale, 1.0)
