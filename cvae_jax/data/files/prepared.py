"""Prepared images on disk: written whole, read memory-mapped.

A prepared set is a folder with `images.npy` (uint8 [N, S, S, 3], RGB),
`attributes.csv` (N rows in the same order, `file` first) and
`prepared.json`, which is written last: without it there is no set. It holds
the SHA-256 of the images, made while they are written.
"""

import hashlib
import io
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files.prepared_digest import MARK, STAMP, digest, stamp
from cvae_jax.host import commands
from cvae_jax.host.files import (
  UNREADABLE,
  check_room,
  parse_json,
  write_atomically,
)

IMAGES = "images.npy"
ATTRIBUTES = "attributes.csv"


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
  beside: Mapping[str, str] | None = None,
  describe: Callable[[], Mapping[str, Any]] = dict,
) -> dict[str, Any]:
  """Write a prepared set, image by image, so that any number fits.

  Args:
    folder: a set in it stays until the last image is here.
    images: one for each row of `table`: uint8 [S, S, 3], or the reason for
      which the row is left out.
    table: `file` first.
    info: `size` S, or `shape` [H, W, C] where the images have another, and
      what else prepared.json shall say.
    beside: other files to write, name → text.
    describe: returns what else prepared.json shall say; called after the last
      image.

  Returns:
    prepared.json: info, count, skipped (file → reason), sha256 (the table's),
    images (the digests of images.npy), equal (names of byte-equal images).

  Raises:
    DataError: if no image is left or one has another shape.
    NoRoom: the disk cannot hold them; nothing is written.
  """
  size = len(table) * math.prod(image_shape(info))
  check_room(folder, size, "give a smaller --size or another --out")
  folder.mkdir(parents=True, exist_ok=True)
  unfinished = folder / f".{IMAGES}.{os.getpid()}.tmp"
  try:
    with unfinished.open("wb") as file:
      skipped, sha256, equal = _stream(file, images, table, image_shape(info))
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
    "images": stamp(folder / IMAGES) | {"sha256": sha256},
    "equal": equal,
    **describe(),
  }
  for name, text in (beside or {}).items():
    write_atomically(folder / name, text)
  (folder / STAMP).unlink(missing_ok=True)
  write_atomically(folder / MARK, json.dumps(whole, indent=2) + "\n")
  return whole


def clear(folder: pathlib.Path) -> None:
  """Delete what a preparation left that was killed; its folder is locked."""
  for left in folder.glob(f".{IMAGES}.*.tmp"):
    left.unlink(missing_ok=True)


def image_shape(info: Mapping[str, Any]) -> tuple[int, ...]:
  """Return the shape (H, W, C) of a set's images."""
  return tuple(info.get("shape") or (info["size"], info["size"], 3))


def _stream(
  file: BinaryIO, images: Iterable, table: pd.DataFrame, shape: tuple
) -> tuple[dict[int, str], str, list[list[str]]]:
  """Write the images; return those left out, the digest and equal ones."""
  skipped = {}
  whole = hashlib.sha256()
  seen = {}
  _write_header(file, (len(table), *shape))
  for row, (name, image) in enumerate(zip(table["file"], images, strict=True)):
    if isinstance(image, str):
      skipped[row] = image
      continue
    if image.shape != shape or image.dtype != np.uint8:
      raise DataError(
        f"{name}: {image.dtype} {image.shape}; expected uint8 {shape}"
      )
    pixels = np.ascontiguousarray(image).tobytes()
    file.write(pixels)
    whole.update(pixels)
    seen.setdefault(hashlib.sha256(pixels).digest(), []).append(name)
  if len(skipped) == len(table):
    first = next(
      (f"{table['file'].iloc[row]}: {why}" for row, why in skipped.items()),
      "the table has no rows",
    )
    raise DataError(f"no image is left of {len(table)}; the first: {first}")
  file.seek(0)  # NumPy's header has room for any number of rows
  _write_header(file, (len(table) - len(skipped), *shape))
  equal = [names for names in seen.values() if len(names) > 1]
  return skipped, whole.hexdigest(), equal


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
  np.lib.format.write_array_header_1_0(
    file, {"descr": "|u1", "fortran_order": False, "shape": shape}
  )


def is_prepared(path: str | pathlib.Path | None) -> bool:
  """Tell whether a file is the images.npy of a prepared set."""
  return bool(path) and (pathlib.Path(path).parent / MARK).is_file()


def read(
  folder: pathlib.Path,
  size: int | None = None,
  how: str = "a script of data/",
  text: bool = False,
) -> Prepared:
  """Open a prepared set without reading its images.

  Args:
    folder: as `write` wrote it.
    size: S, where it is fixed.
    how: the command that prepares such a set, to be named in errors.
    text: read all of the table as text, empty where a value is missing.

  Raises:
    DataError: if there is none, its parts disagree, or S is another.
  """
  how += f" --out={commands.quote(folder)}" + (
    f" --size={size}" if size else ""
  )
  if not (folder / MARK).is_file():
    raise DataError(f"nothing prepared in {folder} (no {MARK}); make: {how}")
  try:
    info = parse_json((folder / MARK).read_text())
    content = (folder / ATTRIBUTES).read_bytes()
    images = np.load(folder / IMAGES, mmap_mode="r")
  except UNREADABLE as error:
    raise DataError(
      f"{folder}: damaged ({error}); prepare it again: {how} --force"
    ) from error
  if not isinstance(info, dict) or "size" not in info:
    raise DataError(
      f"{folder / MARK}: damaged; prepare the set again: {how} --force"
    )
  if images.dtype != np.uint8 or images.ndim != 4:
    raise DataError(
      f"{folder / IMAGES} holds {images.dtype} {images.shape}; expected uint8"
      f" [N, H, W, C]; prepare it again: {how} --force"
    )
  types = {"dtype": str, "keep_default_na": False} if text else {}
  table = pd.read_csv(io.BytesIO(content), **{"dtype": {"file": str}, **types})
  if len(table) != len(images):
    raise DataError(
      f"{folder}: {IMAGES} has {len(images)} rows, {ATTRIBUTES} {len(table)};"
      f" prepare it again: {how} --force"
    )
  if hashlib.sha256(content).hexdigest() != info.get("sha256"):
    raise DataError(
      f"{folder / ATTRIBUTES} is not what was prepared (its SHA-256 differs);"
      f" prepare your own table: {how} --force"
    )
  found = images.shape[1:]
  expected = image_shape({"size": size} if size else info)
  if found != expected:
    raise DataError(
      f"{folder}: images have shape {found}, expected {expected}; change"
      f" config.data.image_shape or make: {how} --force"
    )
  digest(folder / IMAGES)  # quick where nothing changed; refuses what did
  return Prepared(images, table, info)
