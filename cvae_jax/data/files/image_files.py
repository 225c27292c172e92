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
# Pixels a side: three bytes each are 201 MB, more than any network here sees.
MOST = 8192


@dataclasses.dataclass(frozen=True)
class Fit:
  """How an image of any size becomes [size, width or size, 3 or 1].

  First the image is cut in one of three ways: `crop` removes so many pixels
  from every side; `square` keeps a box (top, bottom, left, right: rows
  top..bottom−1); `middle` keeps the largest part in the middle that has the
  result's aspect. Then the rest is resized, and distorted if its aspect
  differs. "bilinear" resizes as OpenCV does by default, "antialias" as
  Pillow's BILINEAR, which averages more pixels where it shrinks. With `pad`
  nothing is distorted, and the space that is left over is black.
  """

  size: int
  crop: int = 0
  square: tuple[int, int, int, int] | None = None
  resize: str = "bilinear"
  middle: bool = False
  width: int = 0  # pixels, 0 for `size`
  pad: bool = False
  grey: bool = False  # one channel
  white: float = 0.0  # see decoding.read

  @property
  def shape(self) -> tuple[int, int, int]:
    """Return the result's shape (H, W, C)."""
    return self.size, self.width or self.size, 1 if self.grey else 3

  def distorts(self, height: int, width: int) -> bool:
    """Tell whether an image of this size, cut, would change its aspect."""
    target = self.shape
    # A part in the middle has whole pixels, so its aspect is nearly right.
    error = abs(height * target[1] - width * target[0])
    return not self.pad and error >= max(target[:2])

  def __post_init__(self):
    if self.resize not in RESIZES:
      raise DataError(f"resize is one of {RESIZES}; found {self.resize!r}")
    if self.size < 1 or self.crop < 0 or self.width < 0:
      raise DataError(
        f"size is at least 1 and crop at least 0; found {self.size} and"
        f" {self.crop}"
      )
    if not 0 <= self.white < np.inf:
      raise DataError(
        f"found a white of {self.white:g}; expected a number above 0, as in "
        "--white=4095, or 0 for each image's own"
      )
    if max(self.size, self.width) > MOST:
      raise DataError(
        f"found a size of {max(self.size, self.width)} pixels; expected 1 to "
        f"{MOST} a side: give a smaller --size"
      )
    top, bottom, left, right = self.square or (0, 1, 0, 1)
    if not (0 <= top < bottom and 0 <= left < right):
      raise DataError(
        "square is TOP,BOTTOM,LEFT,RIGHT with TOP < BOTTOM and LEFT < RIGHT;"
        f" found {self.square}"
      )
    if (self.crop > 0) + bool(self.square) + self.middle > 1:
      raise DataError("give --crop, --square or --fit=crop, not two of them")

  def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the part of an image [H, W, C] that is kept, a view.

    Raises:
      DataError: if the image is too small for the crop or the box.
    """
    height, width = image.shape[:2]
    c = self.crop
    top, bottom, left, right = self.square or (c, height - c, c, width - c)
    if self.middle:
      top, bottom, left, right = middle(height, width, self.shape[:2])
    if bottom > height or right > width or bottom <= top or right <= left:
      raise DataError(
        f"{height}x{width} pixels (height x width) are too few for "
        + (f"the box {self.square}" if self.square else f"a crop of {c}")
      )
    return image[top:bottom, left:right]

  def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut and resize an image [H, W, 3] to `shape`."""
    image = self.cut(image)
    if self.grey:
      image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if self.pad:
      return self._pad(image)
    return self._resize(image, *self.shape[:2])

  def _resize(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
      return image.copy()
    if self.resize == "bilinear":
      return resize_bilinear(image, height, width)
    picture = Image.fromarray(image[..., 0] if self.grey else image)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, -1)

  def _pad(self, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(self.shape[0] / height, self.shape[1] / width)
    size = [max(1, round(scale * side)) for side in (height, width)]
    whole = np.zeros(self.shape, np.uint8)
    top, left = ((n - m) // 2 for n, m in zip(self.shape, size, strict=False))
    resized = self._resize(image, *size)
    whole[top : top + size[0], left : left + size[1]] = resized
    return whole


def decode(
  content: bytes | np.ndarray,
  whites: list[float] | None = None,
  white: float = 0.0,
) -> npt.NDArray[np.uint8]:
  """Decode an image file to RGB [H, W, 3], turned upright as its EXIF says.

  Greys become three equal channels; `decoding` says what is white. What is
  transparent lies on white.

  Args:
    content: of the file, or instead an array [H, W] or [H, W, 1 | 3 | 4] of
      bytes, in which white is 255.
    whites: takes the white level of a file whose samples are wider than 8 bits.
    white: of a file, see decoding.read.

  Raises:
    DataError: if the bytes are not a whole image.
  """
  if isinstance(content, np.ndarray):
    return decoding.lay_on_white(decoding.convert(content, white=255.0))
  picture = decoding.decode(content, white=white)
  if whites is not None and "white" in picture.info:
    whites.append(picture.info["white"])
  return decoding.lay_on_white(picture)


def read_photo(path: str | pathlib.Path, fit: Fit) -> npt.NDArray[np.uint8]:
  """Read a photo of any size and mode as [size, size, 3], as `fit` says.

  A fit with neither crop nor square keeps the largest square in the middle,
  so that nothing is distorted. What is left of a large photo is averaged down
  to twice the size first: bilinear resizing skips pixels where it shrinks by
  more, which training images, small themselves, hardly knew.

  Raises:
    DataError: if it is no whole image, or too small for the crop or the box.
  """
  image = decoding.lay_on_white(decoding.read(path, white=fit.white))
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


def middle(
  height: int, width: int, aspect: tuple[int, int] = (1, 1)
) -> tuple[int, int, int, int]:
  """Return the largest part in the middle: top, bottom, left, right.

  Args:
    height: of the image.
    width: of the image.
    aspect: the height and width that the part's are proportional to, as
      nearly as whole pixels can be.
  """
  rows = min(height, max(1, round(width * aspect[0] / aspect[1])))
  columns = min(width, max(1, round(height * aspect[1] / aspect[0])))
  top = (height - rows) // 2
  left = (width - columns) // 2
  return top, top + rows, left, left + columns


def resize_bilinear(
  image: npt.NDArray[np.uint8], size: int, width: int = 0
) -> npt.NDArray[np.uint8]:
  """Resize [H, W, C] to [size, width or size, C] as OpenCV's INTER_LINEAR.

  Output pixel d reads the source at (d + 0.5) · scale − 0.5, clipped to the
  image, from the 2 × 2 nearest pixels. It reads no others, so shrinking does
  not average. OpenCV's fixed-point weights may differ by one grey level.
  """
  sides = (size, width or size)
  if image.shape[:2] == sides:
    return image.copy()
  for axis, side in enumerate(sides):
    low, high, weight = _taps(image.shape[axis], side)
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
