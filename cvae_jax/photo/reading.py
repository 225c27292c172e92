"""Any image → 8-bit RGB, upright, at a working size."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cvae_jax.data.image_files import white_level
from cvae_jax.photo.errors import PhotoError

MIN_SIZE = 8  # px, smallest picture accepted
WORK = (256, 768)  # the longest side is brought into this range


def load_rgb(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
  """Read a picture upright as uint8 [H, W, 3], at most twice the work size."""
  name = "the image"
  if isinstance(image, str | Path):
    name = str(image)
    picture = _open_file(image)
  elif isinstance(image, np.ndarray):
    picture = _image_from_array(image)
  elif isinstance(image, Image.Image):
    picture = image
  else:
    raise PhotoError(
      f"found a {type(image).__name__}, expected a file name, a PIL image or a "
      "NumPy array: pass one of these"
    )
  try:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
      picture = _image_from_array(np.asarray(picture))
    has_alpha = picture.has_transparency_data
    picture = picture.convert("RGBA" if has_alpha else "RGB")
  except PhotoError:
    raise
  except (OSError, SyntaxError, ValueError) as error:
    raise PhotoError(
      f"cannot decode {name} ({error}), expected a whole picture: save it "
      "again as PNG or JPEG"
    ) from error
  if min(picture.size) < MIN_SIZE:
    width, height = picture.size
    raise PhotoError(
      f"{name} is {width}×{height} px, expected at least "
      f"{MIN_SIZE}×{MIN_SIZE}: take a larger picture"
    )
  # Large photos shrink here, as 8-bit samples, before any float arithmetic.
  picture.thumbnail((2 * WORK[1],) * 2, Image.Resampling.BOX)
  pixels = np.asarray(picture)
  return _flatten_alpha(pixels) if has_alpha else pixels


def _open_file(path: str | Path) -> Image.Image:
  """Open an image file, raising PhotoError where there is none."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("error", Image.DecompressionBombWarning)
      opened = Image.open(path)
    with opened:
      # A JPEG decoder can shrink by 2, 4 or 8 for nothing; other formats
      # ignore the call.
      opened.draft(None, (WORK[1], WORK[1]))
      # This also copies, so that the file may be closed.
      return ImageOps.exif_transpose(opened)
  except FileNotFoundError as error:
    raise PhotoError(
      f"found no file {path}, expected an image: check the name"
    ) from error
  except (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
  ) as error:
    raise PhotoError(
      f"cannot read {path} as an image ({error}), expected a PNG, JPEG or "
      "another format of Pillow: convert it to PNG or JPEG"
    ) from error


def _image_from_array(array: np.ndarray) -> Image.Image:
  """Convert samples [H, W], [H, W, 1|3|4] of any range to an 8-bit image."""
  pixels = array[:, :, 0] if array.shape[2:] == (1,) else array
  channels = pixels.shape[2:]
  if pixels.ndim not in (2, 3) or channels not in ((), (3,), (4,)):
    raise PhotoError(
      f"found an array of shape {array.shape}, expected [H, W], [H, W, 1], "
      "[H, W, 3] or [H, W, 4]: pass one picture, channels last"
    )
  if pixels.dtype.kind not in "buif" or not pixels.size:
    raise PhotoError(
      f"found an array {array.shape} of {array.dtype}, expected at least one "
      "real number: pass pixel values"
    )
  if not np.isfinite(pixels).all() or pixels.min() < 0:
    raise PhotoError(
      "found negative or non-finite pixels, expected values of at least 0: "
      "rescale the array to 0..1 or 0..255"
    )
  # The white level is not in the data: take the smallest usual one that
  # holds every sample, so that 12 bits in a uint16 do not come out black.
  white = white_level(pixels)
  if white != 255 or pixels.dtype != np.uint8:
    pixels = np.rint(pixels * np.float32(255 / white)).astype(np.uint8)
  return Image.fromarray(pixels)


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
