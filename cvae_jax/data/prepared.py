"""Prepared images on disk: written whole, read memory-mapped.

A prepared set is a folder with `images.npy` (uint8 [N, S, S, 3], RGB),
`attributes.csv` (N rows in the same order, `file` first) and
`prepared.json`, which is written last: without it there is no set.
"""

import hashlib
import io
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.files import write_atomically

IMAGES, ATTRIBUTES, MARK = "images.npy", "attributes.csv", "prepared.json"


class Prepared(NamedTuple):
  """A prepared set: images are memory-mapped, rows agree with `table`."""

  images: npt.NDArray[np.uint8]  # [N, S, S, 3]
  table: pd.DataFrame  # N rows, `file` first
  info: dict[str, Any]  # prepared.json


def write(
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


def read(
  folder: pathlib.Path, size: int | None = None, how: str = "a script of data/"
) -> Prepared:
  """Open a prepared set without reading its images.

  Args:
    folder: as `write` wrote it.
    size: S, where it is fixed.
    how: the command that prepares such a set, to be named in errors.

  Raises:
    DataError: if there is none, its parts disagree, or S is another.
  """
  how += f" --out={folder}" + (f" --size={size}" if size else "")
  if not (folder / MARK).is_file():
    raise DataError(f"nothing prepared in {folder} (no {MARK}); make: {how}")
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
