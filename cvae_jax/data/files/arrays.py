"""Images that come as arrays: .npz and .npy files, of any usual layout.

Keras's (x_train, y_train), MedMNIST's (train_images, train_labels, …),
KMNIST's (a file each, arr_0) and others alike: arrays of three or four axes
are images, arrays of as many rows are attributes, and the words train, val and
test in a name say the split.
"""

import io
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import decoding, finding, splits
from cvae_jax.data.files.array_images import upright, white_level
from cvae_jax.data.files.array_names import guess_split, name_attributes
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.data.files.schema import Entry
from cvae_jax.data.files.tables import to_text
from cvae_jax.host.console import say
from cvae_jax.host.files import UNREADABLE

ROW_NAME = r"(row|train|valid|test)/\d{7,}"  # of the rows of arrays, by split
_IN_MEMORY = 64 << 20  # bytes of a packed array, above which it is unpacked


class Part(NamedTuple):
  """Images [N, …] of one split ("" for none) and attributes [N] of each."""

  split: str
  images: np.ndarray
  attributes: Mapping[str, np.ndarray]


def find(path: pathlib.Path, transpose: bool, white: float) -> Pictures | None:
  """Open .npz and .npy files, None if the path names none.

  Raises:
    DataError: if they hold no images, or none that fit together.
  """
  files = [path] if path.is_file() else sorted(path.glob("*.np[yz]"))
  files = [f for f in files if f.suffix in (".npy", ".npz")]
  if not files:
    return None
  found = {}
  for file in files:
    found |= _load(file, file.stem if len(files) > 1 else "")
  return join(_parts(found, path), path, transpose, white)


def _load(path: pathlib.Path, prefix: str) -> dict[str, np.ndarray]:
  """Return the arrays of a file by name; large ones are memory-mapped."""
  try:
    if path.suffix == ".npy":
      array = np.load(path, mmap_mode="r", allow_pickle=False)
      return {prefix or path.stem: array}
    found = {}
    with zipfile.ZipFile(path) as archive:
      for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if prefix:
          name = prefix if name == "arr_0" else f"{prefix}_{name}"
        found[name] = _read_member(archive, member)
    return found
  except UNREADABLE as error:
    raise DataError(f"{path}: not arrays that can be read: {error}") from error


def _read_member(
  archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> np.ndarray:
  if member.file_size <= _IN_MEMORY:
    content = io.BytesIO(archive.read(member))
    return np.load(content, allow_pickle=False)
  with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
    with archive.open(member) as packed:
      shutil.copyfileobj(packed, file, 1 << 20)
    file.flush()
    array = np.load(file.name, mmap_mode="r", allow_pickle=False)
    os.unlink(file.name)  # the mapping keeps what it holds
  return array


def _parts(found: Mapping[str, np.ndarray], path: pathlib.Path) -> list[Part]:
  """Tell images from attributes, and which belong together."""
  images = {n: a for n, a in found.items() if a.ndim >= 3}
  if not images:
    # Rows of pixels, as flat as in a table.
    images = {
      n: a for n, a in found.items() if a.ndim == 2 and a.shape[1] >= 64
    }
  if not images:
    shapes = ", ".join(f"{n} {a.shape}" for n, a in found.items())
    raise DataError(
      f"{path}: no array of images [N, H, W] or [N, H, W, C]; found {shapes}"
    )
  if twice := len(images) - len({guess_split(name) for name in images}):
    raise DataError(
      f"{path}: {twice + 1} arrays may be the images: {', '.join(images)}; "
      "keep one for each of train, val and test"
    )
  alone = set(map(guess_split, images)) == {""}  # no name is of a split
  groups = [
    [
      other
      for other, values in found.items()
      if other not in images
      and (values.ndim in (1, 2) and len(values) == len(array))
      and (alone or guess_split(other) == guess_split(name))
    ]
    for name, array in images.items()
  ]
  names = name_attributes(groups, alone, path)
  parts = []
  for (name, array), group in zip(images.items(), groups, strict=True):
    attributes = {}
    for other in group:
      columns = _columns(names[other], found[other])
      if twice := columns.keys() & attributes.keys():
        raise DataError(
          f"{path}: array {other} and another one would both be the attribute "
          f"{min(twice)}; rename one of them, or leave it out"
        )
      attributes |= columns
    parts.append(Part(guess_split(name), array, attributes))
  for name, array in found.items():
    if name not in images and name not in names:
      say(f"  left out: array {name} {array.shape}, which fits no images")
  return parts


def _columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
  """Return an attribute's columns [N]: several of marks 0 and 1 are tags."""
  if values.ndim == 1:
    return {name: values}
  if values.shape[1] == 1:
    return {name: values[:, 0]}
  if np.isin(values, (0, 1)).all():
    return {"tags" if name == "class" else name: values}
  return {f"{name}_{i}": column for i, column in enumerate(values.T)}


def join(
  parts: list[Part],
  path: pathlib.Path,
  transpose: bool = False,
  white: float = 0.0,
  stated: Mapping[str, Entry] | None = None,
) -> Pictures:
  """Make one set of parts.

  Args:
    parts: at least one.
    path: where they are from, for errors.
    transpose: rows and columns of each image are exchanged.
    white: what is white; 0 for the rule of `decoding`, for all parts together.
    stated: entries of the schema, by name.

  Raises:
    DataError: if images have no usual shape, or the parts differ.
  """
  arrays = [upright(part.images, path) for part in parts]
  shapes = {array.shape[1:] for array in arrays}
  if len(shapes) > 1:
    raise DataError(f"{path}: images of different shapes: {sorted(shapes)}")
  white = max(white_level(array, path, white) for array in arrays)
  tables = []
  places = {}
  found = dict(stated or {})
  for part, array in zip(parts, arrays, strict=True):
    names = [f"{part.split or 'row'}/{i:07d}" for i in range(len(array))]
    places |= {name: (array, i) for i, name in enumerate(names)}
    columns = {"file": names}
    if part.split:
      columns[splits.SPLIT] = part.split
    for name, values in part.attributes.items():
      columns[name] = _texts(values)
      kind = "multilabel" if values.ndim == 2 else _kind(values)
      if kind:
        found.setdefault(name, {"name": name, "kind": kind})
    tables.append(pd.DataFrame(columns, dtype=str))
  table = pd.concat(tables, ignore_index=True).fillna("")
  own = any(splits.SPLIT in part.attributes for part in parts)
  if len({part.split for part in parts}) < 2 and not own:
    table = table.drop(columns=splits.SPLIT, errors="ignore")

  def read(name: str) -> np.ndarray:
    array, i = places[name]
    pixels = array[i].swapaxes(0, 1) if transpose else array[i]
    return decoding.to_bytes(np.asarray(pixels), white)

  size = arrays[0][0].nbytes
  sizes = dict.fromkeys(table["file"], size)
  listed = {name: name for name in table["file"]}
  images = finding.Images(listed, read, sizes, {})
  return Pictures(images, table, found, arrays[0].shape[3:] in ((), (1,)))


def _texts(values: np.ndarray) -> list[str]:
  """Write an attribute's values; of marks [N, K] the numbers of those set."""
  if values.ndim == 2:
    return [";".join(map(str, np.flatnonzero(row))) for row in values]
  if values.dtype.kind == "S":
    values = np.char.decode(values, "utf-8")
  if values.dtype.kind == "f":
    return ["" if np.isnan(x) else to_text(x) for x in values.tolist()]
  return [to_text(value) for value in values.tolist()]


def _kind(values: np.ndarray) -> str:
  """Return the kind that an array's type says, "" where it says none."""
  if values.dtype.kind in "iu":
    return "class" if len(np.unique(values)) <= 1000 else ""
  return {"b": "binary", "f": "number"}.get(values.dtype.kind, "")
