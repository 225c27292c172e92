"""The one reader of pictures: any file or array → 8 bits, RGB, upright.

How bright a sample is depends on its white level, which few files hold. The
rule, for files and arrays alike (`white_level`):

- samples of 8 bits: 255;
- wider integers, and floats without fractions: the first of 1, 16, 255, 4095
  and 65535 that no sample exceeds; so the 0..16 of scikit-learn's digits, 8 and
  12 bits in wider samples, and 16 bits. Of 16 bits the upper byte is kept;
- floats with fractions: the first of 1, 255 and 65535 that no sample exceeds by
  more than a twentieth, as resizing may leave it. What is above is white.

A picture whose largest sample is above 4095 is thus never made brighter. Where
a person gives a white level, it is that of all but files of 8 bits.
"""

import contextlib
import io
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from cvae_jax.data import DataError
from cvae_jax.host.paths import local

WHITES = (1, 16, 255, 4095, 65535)
OVER = 1.05  # × white, which floats may reach
DARK = 8.0  # a peak of floats below, and above 1, is of no known range


def read(
  path: str | pathlib.Path, side: int = 0, white: float = 0.0
) -> Image.Image:
  """Read an image file upright, mode RGB, or RGBA if parts are transparent.

  Args:
    path: the file.
    side: a JPEG may shrink by 2, 4 or 8 while it stays at least this large;
      0 keeps every pixel.
    white: the sample of more than 8 bits that is white; 0 for the rule above.

  Raises:
    DataError: there is no such file, or it is no whole image; it is named.
  """
  path = local(path, "the photo")
  if not path.is_file():
    raise DataError(f"no photo {path}; give the path of an image file")
  try:
    return decode(path.read_bytes(), side, white)
  except (DataError, OSError) as error:
    raise DataError(f"{path}: {error}") from error


def decode(content: bytes, side: int = 0, white: float = 0.0) -> Image.Image:
  """Read the bytes of an image file; see `read`.

  Raises:
    DataError: they are no whole image, or one too large.
  """
  with _explain_errors(content), Image.open(io.BytesIO(content)) as picture:
    if side:
      picture.draft(None, (side, side))
    _check_white(picture, white)
    return _eight_bits(ImageOps.exif_transpose(picture), white)


def convert(
  picture: Image.Image | np.ndarray, white: float = 0.0
) -> Image.Image:
  """Convert a picture in memory upright; see `read` for what it returns.

  Args:
    picture: one of Pillow, or an array [H, W] or [H, W, 1 | 3 | 4].
    white: see `read`.

  Raises:
    DataError: it is no such array, or its samples are no brightness.
  """
  if isinstance(picture, np.ndarray):
    return _eight_bits(_from_array(picture, white))
  with _explain_errors(b""):
    return _eight_bits(ImageOps.exif_transpose(picture), white)


def lay_on_white(picture: Image.Image) -> npt.NDArray[np.uint8]:
  """Return RGB [H, W, 3]; what is transparent lies on white."""
  if picture.mode == "RGBA":
    white = Image.new("RGBA", picture.size, "white")
    picture = Image.alpha_composite(white, picture).convert("RGB")
  return np.asarray(picture)


def white_level(pixels: np.ndarray) -> float:
  """Return the white level of samples by the rule above.

  Raises:
    DataError: floats are of neither range.
  """
  peak = float(pixels.max())
  if pixels.dtype == np.uint8 and peak > 1:  # 0 and 1 are a mask
    return 255.0
  return choose_white(peak, are_whole(pixels))


def are_whole(pixels: np.ndarray) -> bool:
  """Tell whether samples are whole numbers."""
  return pixels.dtype.kind != "f" or bool((pixels == np.rint(pixels)).all())


def choose_white(peak: float, whole: bool) -> float:
  """Return the white level of samples by their largest one.

  Raises:
    DataError: floats are of neither range.
  """
  if whole:
    return min((white for white in WHITES if white >= peak), default=peak)
  if OVER < peak < DARK:
    raise DataError(
      f"the largest pixel is {peak:g}, which is white neither of 0..1 nor of "
      "0..255: clip or rescale the pixels"
    )
  return min((w for w in (1, 255, 65535) if OVER * w >= peak), default=peak)


@contextlib.contextmanager
def _explain_errors(content: bytes) -> Iterator[None]:
  """Turn what Pillow raises into a DataError of one line."""
  try:
    yield
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    raise DataError(
      f"too large: more than {most:.0f} megapixels; make the picture smaller"
    ) from bomb
  except DataError:
    raise
  except Exception as error:  # each of Pillow's decoders has its own kinds
    # Pillow's message may hold the address of our buffer, which says nothing.
    said = str(error).partition(" <_io.BytesIO")[0]
    if content[4:8] == b"ftyp":
      said = "HEIC or AVIF needs converting: save it as JPEG or PNG"
    raise DataError(f"not a whole image: {said}") from error


def _check_white(picture: Image.Image, white: float) -> None:
  """Refuse a white level for colours of 16 bits, of which Pillow reads 8.

  Raises:
    DataError: such a picture, not yet loaded, meets another level than 65535.
  """
  wide = any(";16" in str(tile) for tile in getattr(picture, "tile", ()))
  if wide and picture.mode[:1] not in "IF" and white not in (0, 65535):
    raise DataError(
      "of colours of 16 bits the upper byte is read, so white is 65535; found "
      f"{white:g}: bring the files to 8 bits first, or leave --white out"
    )


def _eight_bits(picture: Image.Image, white: float = 0.0) -> Image.Image:
  if picture.mode.startswith(("I", "F")):  # which convert() would clip
    return _wide(picture, white)
  if picture.mode == "LAB":  # which convert() does not know
    profiles = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
    return ImageCms.profileToProfile(picture, *profiles, outputMode="RGB")
  if picture.has_transparency_data:
    if picture.mode == "La":
      picture = picture.convert("LA")
    return picture.convert("RGBA")
  return picture.convert("RGB")


def _wide(picture: Image.Image, white: float) -> Image.Image:
  """Bring greys of more than 8 bits to RGB, or to RGBA with a clear grey."""
  pixels = np.asarray(picture)
  grey = _from_array(pixels, white).convert("RGB")
  grey.info["white"] = white or white_level(pixels)
  clear = picture.info.get("transparency")
  if isinstance(clear, int):
    grey.putalpha(
      Image.fromarray(np.where(pixels == clear, 0, 255).astype("u1"))
    )
  return grey


def _from_array(array: np.ndarray, white: float) -> Image.Image:
  """Convert samples [H, W] or [H, W, 1 | 3 | 4] to an image of 8 bits."""
  pixels = array[:, :, 0] if array.shape[2:] == (1,) else array
  if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
    raise DataError(
      f"found an array of shape {array.shape}, expected [H, W], [H, W, 1], "
      "[H, W, 3] or [H, W, 4]: pass one picture, channels last"
    )
  if pixels.dtype.kind not in "buif" or not pixels.size:
    raise DataError(
      f"found an array {array.shape} of {array.dtype}, expected at least one "
      "real number: pass pixel values"
    )
  if not np.isfinite(pixels).all() or pixels.min() < 0:
    raise DataError(
      "found negative or non-finite pixels, expected values of at least 0: "
      "rescale the array to 0..1 or 0..255"
    )
  return Image.fromarray(to_bytes(pixels, white or white_level(pixels)))


def to_bytes(pixels: np.ndarray, white: float) -> npt.NDArray[np.uint8]:
  """Return samples as 8 bits, `white` as 255; of 16 bits the upper byte."""
  if white == 65535 and pixels.dtype.kind in "iu":
    return (pixels.astype(np.int64) >> 8).astype(np.uint8)
  if white != 255 or pixels.dtype != np.uint8:
    scaled = np.rint(pixels * np.float32(255 / white))
    return scaled.clip(0, 255).astype(np.uint8)
  return pixels
