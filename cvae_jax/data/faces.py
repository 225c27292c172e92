"""Faces conditioned on named attributes.

`prepared` reads real faces that `data/prepare_faces.py` prepared, and
`synthetic_faces` draws others. This module makes the columns of a training.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError, Dataset, root
from cvae_jax.data.conditions.faces import Conditions
from cvae_jax.data.conditions.ranges import check_names
from cvae_jax.data.files import (
  columns,
  face_tables,
  order,
  prepared,
  splits,
  synthetic_faces,
)
from cvae_jax.host import commands
from cvae_jax.host.paths import local

WORDS = "--images=FOLDER_OR_ZIP --table=FILE"
# Entries of prepared.json that do not identify the images. `images`, their
# digest, does; but it is in the data's identity already, and older runs have
# no such entry here.
_INCIDENTAL = ("source", "on_corrupt", "skipped", "images", "equal", "order")


def load(config: Any) -> Dataset:
  """Load faces: image uint8 [N, S, S, 3], condition float32 [N, A].

  Args:
    config: `source`, "prepared" (the folder `path`, "" for `faces_S` in the
      data folder) or "synthetic" (`count` drawn faces); `names` and
      `ranges`, the columns that condition and their (low, high), none for
      images without attributes, so any that `data/prepare_photos.py`
      prepared; `conditions`, A; `image_shape`, (S, S, 3); `train_rows`, how
      many of the first prepared rows train, 0 (and when synthetic) for all
      but a tenth; `split_column`, a column such as person: rows of one value
      are a group and stay in one split. The groups have an order that depends
      only on their values, and train in this order as long as they fit. With
      "" the column is the one that prepared.json names (sets with a column
      `person` have one); with "none" there is no such column.

  Returns:
    Rows in file order. Images of a prepared set stay on disk, memory-mapped;
    a split by groups that do not lie together copies them. test is None
    where all rows train.

  Raises:
    DataError: if data are missing, damaged or out of range, or the config
      does not fit them.
  """
  names = tuple(config.names)
  ranges = _read_ranges(config.ranges)
  check_names(names, ranges)
  if config.conditions != len(names):
    raise DataError(
      f"config.data.conditions is {config.conditions}, but names are"
      f" {len(names)}: {', '.join(names)}"
    )
  images, table, info = _read(config)
  where = _describe_table(config)
  vectors = columns.values(table, names, ranges, where)
  rows = config.train_rows if config.source == "prepared" else 0
  column = _split_column(config.split_column, info, where)
  parts = _split(table, rows, column, where)
  if config.source == "prepared":
    order.warn(table, *(np.arange(len(table))[part] for part in parts), where)
    _note_scale(names, ranges, where)
  identity = _identity(info, np.arange(len(table))[parts[0]])
  conditions = Conditions.fit(vectors[parts[0]], names, ranges, identity)
  vectors = vectors.astype(np.float32)
  train, test = (
    {"image": images[rows], "condition": vectors[rows]} for rows in parts
  )
  test = test if len(test["condition"]) else None
  return Dataset(train, test, conditions, face_tables.origin(table["file"]))


def _read_ranges(told: Any) -> tuple[tuple[float, float], ...]:
  try:
    return tuple((float(low), float(high)) for low, high in told)
  except (TypeError, ValueError):
    raise DataError(
      f"config.data.ranges is {told}; expected a low and a high for each of "
      "data.names, as in ((0.0, 1.0), (0.0, 2.0))"
    ) from None


def folder(config: Any) -> pathlib.Path:
  """Return where the prepared set is that `load(config)` would read."""
  found = config.path or root() / f"faces_{config.image_shape[0]}"
  return local(found, "config.data.path")


def _describe_table(config: Any) -> str:
  """Name the table, for errors."""
  if config.source == "synthetic":
    return "synthetic faces"
  return str(folder(config) / prepared.ATTRIBUTES)


def _note_scale(
  names: tuple[str, ...], ranges: tuple[tuple[float, float], ...], where: str
) -> None:
  """Print which columns have units that dwarf those of the others."""
  wide = [n for n, r in zip(names, ranges, strict=True) if max(map(abs, r)) > 2]
  if wide:
    print(
      f"note: {where}: {', '.join(wide)} conditions unscaled; ranges check"
      " values and do not scale them. Bring the column into [0, 1] in the"
      f" table: {_describe_scaling(wide[0], ranges[names.index(wide[0])])}"
    )


def _describe_scaling(name: str, limits: tuple[float, float]) -> str:
  """Say how values of a range are brought into [0, 1]."""
  low, high = limits
  return f"({name} - {low:g}) / {high - low:g}" if low else f"{name} / {high:g}"


def _identity(info: Mapping[str, Any], rows: npt.NDArray[np.intp]) -> str:
  """Return a digest that identifies the images, without reading them all."""
  said = {k: v for k, v in info.items() if k not in _INCIDENTAL}
  digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
  digest.update(rows.astype("<i8").tobytes())
  return digest.hexdigest()


def _read(config: Any) -> prepared.Prepared:
  shape = tuple(config.image_shape)
  if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3:
    raise DataError(f"image_shape is (S, S, 3) for faces; found {shape}")
  if config.source == "synthetic":
    images, table = synthetic_faces.make(config.count, shape[0])
    return prepared.Prepared(images, table, {"synthetic": shape})
  if config.source != "prepared":
    raise DataError(
      f"source is one of prepared, synthetic; found {config.source!r}"
    )
  how = f"{commands.format_prepare('faces')} {WORDS}"
  return prepared.read(folder(config), shape[0], how)


def _split_column(asked: str, info: Mapping[str, Any], where: str) -> str:
  """Return the column whose values stay within one split, "" for none."""
  if asked or not info.get("split_column"):
    return "" if asked == "none" else asked
  column = info["split_column"]
  print(
    f"note: {where}: all images of a {column} are in one split;"
    " --config.data.split_column=none splits by rows alone"
  )
  return column


def _split(
  table: pd.DataFrame, train_rows: int, column: str, where: str
) -> tuple[splits.Rows, splits.Rows]:
  """Choose training and held-out rows; slices where that is possible."""
  rows = len(table)
  if rows == 1 and not train_rows:
    raise DataError(
      f"{where} has one image, which cannot be split into training and"
      " held-out ones; more are needed"
    )
  wanted = train_rows or rows - max(1, rows // 10)
  if not 0 < wanted <= rows:
    raise DataError(
      f"train_rows is {train_rows}; {where} has {rows} rows. With"
      " --config.data.train_rows=0 all but the last tenth train"
    )
  if not column:
    return slice(0, wanted), slice(wanted, rows)
  if column not in table:
    raise DataError(
      f"{where}: no column {column!r} to split by; it has"
      f" {', '.join(table.columns)}"
    )
  sizes = table[column].astype(str).value_counts()
  order = sorted(sizes.index, key=lambda g: hashlib.sha256(g.encode()).digest())
  ends = sizes[order].cumsum()
  training = table[column].astype(str).isin(ends.index[ends <= wanted])
  if not training.any():
    raise DataError(
      f"{where}: no group of {column!r} fits in {wanted} training rows;"
      " --config.data.split_column=none splits by rows alone"
    )
  return splits.select(training), splits.select(~training)
