"""Data that a caller hands in as arrays, and their conditions.

    from cvae_jax import data

    dataset = data.from_arrays(images, {"shape": names, "size": sizes})
    condition = dataset.conditions.encode(shape="circle", size=0.5)

A column of words, whole numbers or booleans is a class. A column of floats is
a number, scaled to [0, 1] by its range in the training rows. In both None is an
unknown value. So are NaN and empty text among words, NaN in a series of pandas
and what a masked array masks. Other kinds must be stated:
{"grade": "ordinal:low<mid<high"}.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError, Dataset, conditions
from cvae_jax.data.conditions import kinds
from cvae_jax.data.conditions.attribute import blank, format_level
from cvae_jax.data.files import array_columns, array_images, array_splits
from cvae_jax.host.wording import shorten

MANY = 20  # classes, beyond which whole numbers are rather a number


class Conditions(conditions.Conditions):
  """Conditions of arrays; those of the first releases are read too."""

  @classmethod
  def from_json(cls, saved: Mapping[str, Any]) -> Self:
    """Restore what `to_json` returned, today's or that of older runs."""
    if "parts" not in saved:
      return super().from_json(saved)
    entries = [
      {"name": part["name"], "kind": "class", "levels": part["levels"]}
      if part["levels"]
      else _number(part["name"]) | {"range": part["range"]}
      for part in saved["parts"]
    ]
    return super().from_json({"attributes": entries})


def load(config: Any) -> Dataset:
  """Raise an error: arrays come from Python and from no config.

  Raises:
    DataError: always.
  """
  raise DataError(
    "the data of this run were handed in as arrays: hand them in again, "
    "train.train_and_evaluate(config, workdir, dataset=…) to go on, or "
    "cvae_jax.measures.score.score(run, dataset=…) to measure"
  )


def make(
  images: npt.ArrayLike,
  conditions: Mapping[str, npt.ArrayLike],
  held_out: float,
  seed: int,
  stated: Mapping[str, str],
  groups: npt.ArrayLike | None = None,
) -> Dataset:
  """Build a Dataset; see data.from_arrays."""
  if np.ma.is_masked(images):
    raise DataError("images have masked pixels; give images.filled(0)")
  try:
    images = np.asarray(images)
  except ValueError:
    raise DataError(
      f"images are of one shape; found {_shapes(images)}: resize them first"
    ) from None
  if images.ndim == 3:
    images = images[..., None]
  if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
    raise DataError(
      "images are uint8 [N, H, W] or [N, H, W, C]; found "
      f"{images.dtype} {images.shape}{_remedy(images)}"
    )
  array_images.check_channels(images)
  array_images.refuse_mask(images.max(), "images")
  parts = array_splits.shuffle(len(images), held_out, seed, groups)
  return build(images, conditions, *parts, stated)


def _remedy(images: np.ndarray) -> str:
  """Say how numbers of another type become bytes."""
  if images.dtype.kind == "b":
    return "; give images * np.uint8(255)"
  if images.dtype.kind not in "iuf" or not images.size:
    return ""
  low, high = float(images.min()), float(images.max())
  if low >= 0 and high <= 1 and images.dtype.kind == "f":
    return "; give (255 * images).round().astype(np.uint8)"
  return (
    f" from {low:g} to {high:g}; give np.uint8 in which black is 0 and white "
    "is 255, as 255 * (images - BLACK) / (WHITE - BLACK), rounded"
  )


def _shapes(images: Iterable) -> str:
  """Name the first few shapes of images."""
  found = dict.fromkeys(str(np.shape(image)) for image in images)
  return shorten(found)


def build(
  images: np.ndarray,
  conditions: Mapping[str, npt.ArrayLike],
  train: np.ndarray | slice,
  test: np.ndarray | slice,
  stated: Mapping[str, str],
) -> Dataset:
  """Build a Dataset of two parts of the rows.

  Args:
    images: uint8 [N, H, W, C]; parts that are slices are not copied.
    conditions: {name: [N]}.
    train: the rows that train.
    test: the rows that are held out; none is allowed.
    stated: {name: kind}, see data.from_arrays.
  """
  if odd := [name for name in conditions if not isinstance(name, str)]:
    raise DataError(
      f"a condition's name is text; found {odd[0]!r}: name the columns, as "
      "table.rename(columns=str) does"
    )
  columns = {n: array_columns.read(n, v) for n, v in conditions.items()}
  for name, values in columns.items():
    if len(values) != len(images):
      raise DataError(f"{name} has {len(values)} rows, images {len(images)}")
  entries = _entries(columns, stated)
  rows = _rows(columns, train)
  _check_held_out(entries, rows, _rows(columns, test))
  fitted = Conditions.fit(entries, rows, _is_missing(entries, columns))
  parts = [_split(images, columns, fitted, rows) for rows in (train, test)]
  held_out = parts[1] if len(parts[1]["image"]) else None
  return Dataset(parts[0], held_out, fitted, "arrays")


def _is_missing(
  entries: Sequence[Mapping[str, Any]], columns: Mapping[str, np.ndarray]
) -> bool:
  """Tell whether a value is unknown: None, or empty text of most kinds."""
  for entry in entries:
    known = kinds.kind(entry["kind"])(entry["name"]).known
    column = columns[entry["name"]]
    if column.dtype.kind in "OUS" and not all(map(known, column.tolist())):
      return True
  return False


def _entries(
  columns: Mapping[str, np.ndarray], stated: Mapping[str, str]
) -> list[dict[str, Any]]:
  """Return the schema's entry of each column.

  Raises:
    DataError: a kind is stated of no column, or there is no such kind.
  """
  if unknown := sorted(set(stated) - set(columns)):
    raise DataError(
      f"a kind is stated of {', '.join(unknown)}; the conditions are "
      f"{', '.join(columns)}"
    )
  found = []
  for name, values in columns.items():
    if name in stated:
      found += kinds.parse(f"{name}={stated[name]}").values()
    elif array_columns.is_number(values):
      found.append(_number(name))
    else:
      found.append({"name": name, "kind": "class"})
  return found


def _number(name: str) -> dict[str, Any]:
  return {"name": name, "kind": "number", "scaled": [0.0, 1.0]}


def _rows(
  columns: Mapping[str, np.ndarray], rows: np.ndarray | slice
) -> dict[str, list[Any]]:
  return {name: values[rows].tolist() for name, values in columns.items()}


def _check_held_out(
  entries: Sequence[Mapping[str, Any]],
  train: Mapping[str, Sequence[Any]],
  test: Mapping[str, Sequence[Any]],
) -> None:
  """Check that training rows have each class of the held-out ones.

  Raises:
    DataError: one is in no training row.
  """
  for name in (e["name"] for e in entries if e["kind"] == "class"):
    known = {format_level(value) for value in train[name]}
    for value in test[name]:
      if not blank(value) and format_level(value) not in known:
        advice = ""
        if len(known) > MANY:
          advice = (
            f". {len(known):,} values are taken for classes: give a number as "
            f"floats, or kinds={{{name!r}: 'number'}}"
          )
        raise DataError(
          f"{name}: {value} is in no training row; bring more rows of it, or "
          f"another seed{advice}"
        )


def _split(
  images: np.ndarray,
  columns: Mapping[str, np.ndarray],
  fitted: Conditions,
  rows: np.ndarray | slice,
) -> dict[str, np.ndarray]:
  """Return the columns of some of the rows."""
  chosen = images[rows]
  condition = np.empty((len(chosen), 0), np.float32)
  if columns and len(chosen):
    condition = fitted.encode_table(_rows(columns, rows))
  return {"image": chosen, "condition": condition}
