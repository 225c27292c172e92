"""Check a Dataset that a user's own source made, before anything reads it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cvae_jax.data import DataError, Dataset, Repeated

_SEE = "(docs/extend.md)"


def check(dataset: Dataset) -> None:
  """Check the columns of each split, and that conditions fit them.

  Raises:
    DataError: one has another type, shape or value; what was found is said.
  """
  splits = {"train": dataset.train, "valid": dataset.valid}
  for split, columns in (splits | {"test": dataset.test}).items():
    if columns is None and split != "train":
      continue
    if not isinstance(columns, Mapping) or not columns:
      raise DataError(
        f"{split} of the Dataset is {_describe(columns)}; expected {{column: "
        f"array}}, as {{'image': uint8 [N, H, W, C]}} {_SEE}"
      )
    for name, column in columns.items():
      _check_column(split, name, column)
    _check_same(split, columns, dataset.train)
  _check_conditions(dataset)


def _check_column(split: str, name: str, column: Any) -> None:
  """Check the type of a column and the form of an image or a condition."""
  where = f"column {name!r} of {split}"
  array = column.entries if isinstance(column, Repeated) else column
  known = isinstance(array, np.ndarray) or hasattr(array, "devices")
  if not known or array.dtype.kind not in "buif":
    raise DataError(
      f"{where} is {_describe(array)}; expected a NumPy array of numbers. "
      "np.memmap and np.load(file, mmap_mode='r') are arrays; of an HDF5 file "
      "write the data to a .npy first, or read it whole: data[:]"
    )
  if name == "image" and array.ndim != 4:
    more = ": images[..., None] has one channel" if array.ndim == 3 else ""
    raise DataError(
      f"{where} has the shape {array.shape}; expected [N, H, W, C]{more}"
    )
  if name == "condition":
    if array.ndim != 2:
      raise DataError(
        f"{where} has the shape {array.shape}; expected [N, A], A entries for "
        "each row"
      )
    bad = np.flatnonzero(~np.isfinite(np.asarray(array)).all(axis=1))
    if bad.size:
      raise DataError(
        f"{where} is not finite in {bad.size:,} rows, the first is row "
        f"{bad[0]}; an unknown value is 0 beside a known-bit of 0, as "
        "conditions.encode_table makes it"
      )


def _check_same(split: str, columns: Mapping, train: Mapping) -> None:
  """Check that rows of a split have the shapes of the training rows."""
  for name in columns.keys() & train.keys():
    shapes = [tuple(part[name].shape[1:]) for part in (columns, train)]
    if shapes[0] != shapes[1]:
      raise DataError(
        f"column {name!r} of {split} has examples of shape {shapes[0]}; those "
        f"of train have {shapes[1]}: make them alike"
      )


def _check_conditions(dataset: Dataset) -> None:
  """Check the object that knows what the entries of a condition mean."""
  found = dataset.conditions
  if not hasattr(found, "to_json"):
    raise DataError(
      f"conditions of the Dataset is {_describe(found)}; expected the object "
      "that turns words into condition vectors, as "
      "Conditions.fit([{'name': 'size', 'kind': 'number'}], table) of "
      f"cvae_jax.data.arrays {_SEE}"
    )
  size = getattr(found, "size", None)
  condition = dataset.train.get("condition")
  if condition is None or not isinstance(size, int):
    return
  if size != condition.shape[1]:
    raise DataError(
      f"column 'condition' of train has {condition.shape[1]} entries a row, "
      f"but its conditions describe {size}; make both from one table: "
      "conditions.encode_table(table)"
    )


def _describe(found: Any) -> str:
  if found is None:
    return "None"
  if (dtype := getattr(found, "dtype", None)) is not None:
    return f"a {type(found).__name__} of type {dtype}"
  return f"a {type(found).__name__}"
