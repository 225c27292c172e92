"""How an image file of any format and size becomes an array of one size."""

import dataclasses
import functools
import pathlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from cvae_jax.data import DataError
from cvae_jax.data.files import decoding

RESIZES = ("bilinear", "antialias")


@dataclasses.dataclass(frozen=True)
class Fit:
  """How an image of any size becomes [size, size, 3].

  First `crop` pixels go from every side, or the box `square` (top, bottom,
  left, right: rows top..bottom−1) is kept, or with `middle` the largest
  square in the middle; then the rest is resized, whatever its aspect:
  "bilinear" as OpenCV's default does it, "antialias" by Pillow's BILINEAR,
  which averages more pixels where it shrinks.
  """

  size: int
  crop: int = 0
  square: tuple[int, int, int, int] | None = None
  resize: str = "bilinear"
  middle: bool = False

  def __post_init__(self):
    if self.resize not in RESIZES:
      raise DataError(f"resize is one of {RESIZES}; found {self.resize!r}")
    if self.size < 1 or self.crop < 0:
      raise DataError(
        f"size is at least 1 and crop at least 0; found {self.size} and"
        f" {self.crop}"
      )
    top, bottom, left, right = self.square or (0, 1, 0, 1)
    if not (0 <= top < bottom and 0 <= left < right):
      raise DataError(
        "square is TOP,BOTTOM,LEFT,RIGHT with TOP < BOTTOM and LEFT < RIGHT;"
        f" found {self.square}"
      )
    if (self.crop > 0) + bool(self.square) + self.middle > 1:
      raise DataError("give crop or square or middle, not two of them")

  def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the part of an image [H, W, 3] that is kept, a view.

    Raises:
      DataError: if the image is too small for the crop or the box.
    """
    height, width = image.shape[:2]
    c = self.crop
    top, bottom, left, right = self.square or (c, height - c, c, width - c)
    if self.middle:
      top, bottom, left, right = middle(height, width)
    if bottom > height or right > width or bottom <= top or right <= left:
      raise DataError(
        f"{height}x{width} pixels (height x width) are too few for "
        + (f"the box {self.square}" if self.square else f"a crop of {c}")
      )
    return image[top:bottom, left:right]

  def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut and resize an image [H, W, 3] to [size, size, 3]."""
    image = self.cut(image)
    if self.resize == "bilinear":
      return resize_bilinear(image, self.size)
    size = (self.size, self.size)
    picture = Image.fromarray(image)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def decode(content: bytes) -> npt.NDArray[np.uint8]:
  """Decode an image file to RGB [H, W, 3], turned upright as its EXIF says.

  Greys become three equal channels; `decoding` says what is white. What is
  transparent lies on white.

  Raises:
    DataError: if the bytes are not a whole image.
  """
  return decoding.on_white(decoding.decode(content))


def read_photo(path: str | pathlib.Path, fit: Fit) -> npt.NDArray[np.uint8]:
  """Read a photo of any size and mode as [size, size, 3], as `fit` says.

  A fit with neither crop nor square keeps the largest square in the middle,
  so that nothing is distorted. What is left of a large photo is averaged down
  to twice the size first: bilinear resizing skips pixels where it shrinks by
  more, which training images, small themselves, hardly knew.

  Raises:
    DataError: if it is no whole image, or too small for the crop or the box.
  """
  image = decoding.on_white(decoding.read(path))
  try:
    if not (fit.crop or fit.square):
      fit = dataclasses.replace(fit, middle=True)
    image = fit.cut(image)
  except DataError as error:
    raise DataError(f"{path}: {error}") from error
  twice = 2 * fit.size
  if min(image.shape[:2]) > twice:
    picture = Image.fromarray(image)
    image = np.asarray(picture.resize((twice, twice), Image.Resampling.BOX))
  return Fit(fit.size, resize=fit.resize)(image)


def middle(height: int, width: int) -> tuple[int, int, int, int]:
  """Return the largest square in the middle: top, bottom, left, right."""
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  return top, top + side, left, left + side


def resize_bilinear(
  image: npt.NDArray[np.uint8], size: int
) -> npt.NDArray[np.uint8]:
  """Resize [H, W, C] to [size, size, C] as OpenCV's INTER_LINEAR does.

  Output pixel d reads the source at (d + 0.5) · scale − 0.5, held inside the
  image, between its 2 × 2 neighbours and no others: shrinking does not
  average. OpenCV's fixed-point weights may differ by one grey level.
  """
  if image.shape[:2] == (size, size):
    return image.copy()
  for axis in (0, 1):
    low, high, weight = _taps(image.shape[axis], size)
    weight = weight.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    first = image.take(low, axis).astype(np.float32)
    image = first + weight * (image.take(high, axis) - first)
  return np.rint(image).astype(np.uint8)


@functools.cache
def _taps(source: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  at = (np.arange(size) + 0.5) * (source / size) - 0.5
  at = at.clip(0, source - 1)
  low = np.floor(at).astype(np.intp)
  high = np.minimum(low + 1, source - 1)
  return low, high, (at - low).astype(np.float32)
