"""Images on disk: grids, PNG files, conversions. NumPy and Pillow only."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cvae_jax.host import captions, channels
from cvae_jax.host.files import write_atomically

FORMATS = {  # of pictures that are written: ending → Pillow's name
  ".png": "PNG",
  ".jpg": "JPEG",
  ".jpeg": "JPEG",
  ".webp": "WEBP",
  "": "PNG",
}
GREY = 96  # of 255, between the pictures of a grid
_READABLE = 84  # pixels a side at which a picture is recognised
_ROUNDING = 1e-3  # that a float image may lie outside [0, 1]


def check(images: ArrayLike) -> NDArray:
  """Return images as an array, after a check of what their values mean.

  Args:
    images: of any shape; uint8, or floats in [0, 1].

  Raises:
    ValueError: they are of another type or range, or not finite.
  """
  try:
    images = np.asarray(images)
  except ValueError as error:  # lists of unequal lengths
    raise ValueError(f"images must be one array: {error}") from None
  if images.dtype == np.uint8 or not images.size:
    return images
  wanted = "images must be uint8 or floats in [0, 1]; found"
  if images.dtype.kind not in "iuf":
    raise ValueError(f"{wanted} {images.dtype}")
  low = float(images.min())
  high = float(images.max())
  if not np.isfinite((low, high)).all():
    raise ValueError(f"{wanted} {images.dtype} with NaN or infinity")
  found = f"{wanted} {images.dtype} from {low:g} to {high:g}"
  if images.dtype.kind == "f" and low >= -_ROUNDING and high <= 1 + _ROUNDING:
    return images
  if -1 - _ROUNDING <= low < 0 and high <= 1 + _ROUNDING:
    raise ValueError(f"{found}; from [-1, 1] take (images + 1) / 2")
  if low >= 0 and 1 < high <= 255:
    raise ValueError(f"{found}; divide by 255")
  if low >= 0 and high <= 1:
    raise ValueError(f"{found}; make them floats")
  raise ValueError(f"{found}; bring them into [0, 1]")


def unit(images: ArrayLike) -> NDArray[np.float32]:
  """Map uint8 images to float32 in [0, 1]; floats keep their values."""
  images = np.asarray(images)
  scale = 255.0 if images.dtype == np.uint8 else 1.0
  return images.astype(np.float32) / np.float32(scale)


def to_bytes(images: ArrayLike) -> NDArray[np.uint8]:
  """Map float images in [0, 1], clipped, to uint8, rounded."""
  images = np.clip(np.asarray(images, np.float32), 0.0, 1.0)
  return np.rint(images * 255.0).astype(np.uint8)


def grid(images: ArrayLike, gap: int = 2, scale: int = 1) -> NDArray[np.uint8]:
  """Lay images [R, P, H, W, C] in [0, 1] out as one picture [H', W', 1 or 3].

  Args:
    images: R rows of P pictures; uint8 ones are taken as they are. Of channels
      that are neither 1 nor 3 each gets a colour, see `channels`.
    gap: grey pixels between pictures.
    scale: whole-number enlargement of each pixel.

  Raises:
    ValueError: they have another shape.
  """
  images = np.asarray(images)
  if images.ndim != 5:
    raise ValueError(
      "a grid is images [R, P, H, W, C], R rows of P pictures; found shape "
      f"{images.shape}"
    )
  if images.dtype != np.uint8:
    images = to_bytes(images)
  images = channels.visible(images)
  rows, columns, height, width, depth = images.shape
  sheet = np.full(
    (rows * (height + gap) - gap, columns * (width + gap) - gap, depth),
    GREY,
    np.uint8,
  )
  for r in range(rows):
    for c in range(columns):
      y = r * (height + gap)
      x = c * (width + gap)
      sheet[y : y + height, x : x + width] = images[r, c]
  return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def average_pool(images: ArrayLike, side: int) -> NDArray[np.float32]:
  """Shrink images [N, H, W, C] to the shape of pooled_shape, averaging pixels.

  Args:
    images: float in [0, 1], or uint8, which are scaled to [0, 1].
    side: the height of the result; of square images also the width.

  Raises:
    ValueError: `side` does not divide H, or W cannot be shrunk with it.
  """
  images = np.asarray(images)
  scale = np.float32(255.0 if images.dtype == np.uint8 else 1.0)
  count, height, width, depth = images.shape
  if height <= side:
    return images.astype(np.float32) / scale
  shape = pooled_shape(height, width, side)
  if shape is None:
    raise ValueError(f"{side} pixels a side do not divide {height} × {width}")
  h, w = shape
  blocks = images.reshape(count, h, height // h, w, width // w, depth)
  return blocks.mean(axis=(2, 4), dtype=np.float32) / scale


def pooled_shape(height: int, width: int, side: int) -> tuple[int, int] | None:
  """Return (height, width) of images averaged down to a height of `side`.

  They are square where `side` divides both sides. Else both shrink by the same
  factor, if it divides both: 64 × 48 become 32 × 24. Those no higher than
  `side` stay as they are. None: whole pixels do not fit.
  """
  if height <= side:
    return height, width
  factor, rest = divmod(height, side)
  if rest:
    return None
  if width % side == 0:
    return side, side
  return None if width % factor else (side, width // factor)


def thumbnail(picture: NDArray[np.uint8], height: int, width: int) -> NDArray:
  """Shrink or enlarge [H, W, 3] to [height, width, 3], averaging pixels."""
  size = (max(width, 1), max(height, 1))
  return np.asarray(Image.fromarray(picture).resize(size))


def save_picture(path: Path, picture: NDArray[np.uint8]) -> None:
  """Write [H, W, C], whole or not at all.

  The format follows the ending of `path`; without one it is PNG.

  Raises:
    ValueError: the ending is none of FORMATS.
  """
  buffer = io.BytesIO()
  channels.to_pillow(picture).save(buffer, format=_format(path))
  write_atomically(path, buffer.getvalue())


def check_output(path: Path, *inputs: str | Path) -> None:
  """Check that a picture can go to `path` and overwrites no input.

  Raises:
    ValueError: the ending is unknown, `path` is a folder, or it is one of the
      inputs under this or another name.
  """
  path = Path(path)
  _format(path)
  if path.is_dir():
    raise ValueError(f"{path} is a folder; give the name of a picture")
  for name in map(Path, inputs):
    same = path.resolve() == name.resolve()
    if same or (path.exists() and name.exists() and path.samefile(name)):
      raise ValueError(
        f"{path} is the input {name}, which would be lost; give another --out"
      )


def _format(path: Path) -> str:
  ending = Path(path).suffix.lower()
  if ending not in FORMATS:
    raise ValueError(
      f"{path}: pictures are written as {', '.join(filter(None, FORMATS))}; "
      f"found the ending {ending!r}"
    )
  return FORMATS[ending]


def save_grid(
  path: Path,
  images: ArrayLike,
  scale: int | None = None,
  rows: Sequence[str] = (),
  columns: Sequence[str] = (),
) -> None:
  """Write `grid(images)` as a picture, for a person to look at.

  Args:
    scale: enlargement; without one small pictures come to about 84 pixels.
    rows: a caption left of each row, or none.
    columns: a caption above each column, or none.
  """
  save_picture(path, sheet(images, scale, rows, columns))


def sheet(
  images: ArrayLike,
  scale: int | None = None,
  rows: Sequence[str] = (),
  columns: Sequence[str] = (),
) -> NDArray[np.uint8]:
  """Return `grid(images)` with captions, as save_grid writes it."""
  height, width = np.shape(images)[2:4]
  scale = scale or max(1, round(_READABLE / height))
  laid = grid(images, scale=scale)
  if rows or columns:
    cell = ((height + 2) * scale, (width + 2) * scale)
    laid = captions.add(laid, cell, rows, columns)
  return laid


def png(picture: NDArray[np.uint8]) -> bytes:
  """Return [H, W, C] as the content of a PNG file."""
  buffer = io.BytesIO()
  channels.to_pillow(picture).save(buffer, format="PNG")
  return buffer.getvalue()


def save_figure(path: Path, figure, dpi: int = 100) -> None:
  """Write a Matplotlib figure whole: PNG or PDF, as the path ends.

  The same figure gives the same bytes at any time.
  """
  buffer = io.BytesIO()
  kind = Path(path).suffix[1:]
  metadata = {"CreationDate": None} if kind == "pdf" else None
  figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
  write_atomically(path, buffer.getvalue())
