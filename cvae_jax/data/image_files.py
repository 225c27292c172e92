"""Prepared faces on disk, and how an image file becomes one of their rows.

A prepared set is a folder with `images.npy` (uint8 [N, S, S, 3], RGB),
`attributes.csv` (N rows in the same order, `file` first) and
`prepared.json`, which is written last: without it there is no set.
"""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps

from cvae_jax.data import DataError
from cvae_jax.files import write_atomically

IMAGES, ATTRIBUTES, MARK = "images.npy", "attributes.csv", "prepared.json"
RESIZES = ("bilinear", "antialias")


class Prepared(NamedTuple):
  """A prepared set: images are memory-mapped, rows agree with `table`."""

  images: npt.NDArray[np.uint8]  # [N, S, S, 3]
  table: pd.DataFrame  # N rows, `file` first
  info: dict[str, Any]  # prepared.json


@dataclasses.dataclass(frozen=True)
class Fit:
  """How an image of any size becomes [size, size, 3].

  First `crop` pixels go from every side, or the box `square` (top, bottom,
  left, right: rows top..bottom−1) is kept; then the rest is resized:
  "bilinear" as OpenCV's default does it, "antialias" by Pillow's BILINEAR,
  which averages more pixels where it shrinks.
  """

  size: int
  crop: int = 0
  square: tuple[int, int, int, int] | None = None
  resize: str = "bilinear"

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
    if self.crop and self.square:
      raise DataError("give crop or square, not both")

  def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the part of an image [H, W, 3] that is kept, a view.

    Raises:
      DataError: if the image is too small for the crop or the box.
    """
    height, width = image.shape[:2]
    c = self.crop
    top, bottom, left, right = self.square or (c, height - c, c, width - c)
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

  Raises:
    DataError: if the bytes are not a whole image.
  """
  try:
    with Image.open(io.BytesIO(content)) as picture:
      return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
  except Exception as error:  # each of Pillow's decoders has its own kinds
    # Pillow's message may hold the address of our buffer, which says nothing.
    said = str(error).partition(" <_io.BytesIO")[0]
    raise DataError(f"not a whole image: {said}") from error


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


def write_prepared(
  folder: pathlib.Path,
  images: Iterable[npt.NDArray[np.uint8] | str],
  table: pd.DataFrame,
  info: Mapping[str, Any],
) -> dict[str, Any]:
  """Write a prepared set, image by image, so that any number fits.

  Args:
    folder: a set in it stays until the last image is here.
    images: one for each row of `table`: uint8 [S, S, 3], or the reason for
      which the row is left out.
    table: `file` first.
    info: `size`, and what else prepared.json shall say.

  Returns:
    prepared.json: info, count, skipped (file → reason), sha256 (the table's).

  Raises:
    DataError: if no image is left or one has another shape.
  """
  folder.mkdir(parents=True, exist_ok=True)
  unfinished = folder / f".{IMAGES}.tmp"
  try:
    with unfinished.open("wb") as file:
      skipped = _stream(file, images, table, info["size"])
    (folder / MARK).unlink(missing_ok=True)
    unfinished.replace(folder / IMAGES)
  finally:
    unfinished.unlink(missing_ok=True)
  rest = table[~np.isin(np.arange(len(table)), list(skipped))]
  content = rest.to_csv(index=False, lineterminator="\n").encode()
  write_atomically(folder / ATTRIBUTES, content)
  whole = dict(info) | {
    "count": len(rest),
    "skipped": {table["file"].iloc[row]: why for row, why in skipped.items()},
    "sha256": hashlib.sha256(content).hexdigest(),
  }
  write_atomically(folder / MARK, json.dumps(whole, indent=2) + "\n")
  return whole


def _stream(
  file: BinaryIO, images: Iterable, table: pd.DataFrame, size: int
) -> dict[int, str]:
  shape, skipped = (size, size, 3), {}
  _write_header(file, (len(table), *shape))
  for row, (name, image) in enumerate(zip(table["file"], images, strict=True)):
    if isinstance(image, str):
      skipped[row] = image
      continue
    if image.shape != shape or image.dtype != np.uint8:
      raise DataError(
        f"{name}: {image.dtype} {image.shape}; expected uint8 {shape}"
      )
    file.write(np.ascontiguousarray(image).data)
  if len(skipped) == len(table):
    first = next(iter(skipped.values()), "the table has no rows")
    raise DataError(f"no image is left of {len(table)}; the first: {first}")
  file.seek(0)  # NumPy's header has room for any number of rows
  _write_header(file, (len(table) - len(skipped), *shape))
  return skipped


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
  np.lib.format.write_array_header_1_0(
    file, {"descr": "|u1", "fortran_order": False, "shape": shape}
  )


def read_prepared(folder: pathlib.Path, size: int | None = None) -> Prepared:
  """Open a prepared set without reading its images.

  Args:
    folder: as `write_prepared` wrote it; `size`: S, where it is fixed.

  Raises:
    DataError: if there is none, its parts disagree, or S is another.
  """
  how = (
    "python data/prepare_faces.py --images=FOLDER_OR_ZIP --table=FILE"
    f" --out={folder} --size={size or 120}"
  )
  if not (folder / MARK).is_file():
    raise DataError(f"no prepared faces in {folder} (no {MARK}); make: {how}")
  try:
    info = json.loads((folder / MARK).read_text())
    content = (folder / ATTRIBUTES).read_bytes()
    images = np.load(folder / IMAGES, mmap_mode="r")
  except (OSError, ValueError) as error:
    raise DataError(
      f"{folder}: damaged ({error}); prepare it again: {how} --force"
    ) from error
  table = pd.read_csv(io.BytesIO(content), dtype={"file": str})
  if len(table) != len(images):
    raise DataError(
      f"{folder}: {IMAGES} has {len(images)} rows, {ATTRIBUTES} {len(table)}"
    )
  if hashlib.sha256(content).hexdigest() != info.get("sha256"):
    raise DataError(
      f"{folder / ATTRIBUTES} is not what was prepared (its SHA-256 differs);"
      f" prepare your own table: {how} --force"
    )
  found, expected = images.shape[1:], (size or info["size"],) * 2 + (3,)
  if found != expected:
    raise DataError(
      f"{folder}: images have shape {found}, expected {expected}; change"
      f" config.data.image_shape or make: {how} --force"
    )
  return Prepared(images, table, info)
