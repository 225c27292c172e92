"""The values of one attribute that a caller hands in, and what is unknown."""

import datetime
import decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import blank

_DATES = (datetime.date, datetime.timedelta)


def read(name: str, values: npt.ArrayLike) -> np.ndarray:
  """Return the values of an attribute, one a row.

  They are objects where some are unknown or masked, which then are None. Bytes,
  as h5py reads text, become text, and a database's decimals floats.

  Raises:
    DataError: there are several a row, a number is not finite, or one is a
      date.
  """
  if isinstance(values, pd.Series):  # whose NaN means that a value is missing
    values = values.astype(object)
  if isinstance(values, np.ma.MaskedArray):  # NumPy drops a mask otherwise
    mask = np.ma.getmaskarray(values)
    values = values.data.astype(object)
    values[mask] = None
  try:
    column = np.asarray(values)
  except ValueError:
    raise DataError(
      f"{name}: expected one value a row; found lists of several lengths (give "
      "labels as text, 'a;b')"
    ) from None
  if column.ndim != 1:
    raise DataError(f"{name}: expected one value a row; found {column.shape}")
  if column.dtype.kind in "Mm" or _has_dates(column):
    raise DataError(
      f"{name}: dates are no condition as they are; give a number, as "
      "(dates - dates.min()) / np.timedelta64(1, 'D') of an array or a series, "
      "or words, as of their months"
    )
  known = column
  if column.dtype.kind in "OUS":
    # As they were given: NumPy makes the word "nan" of a NaN beside words.
    column = np.array(values, object)
    for row, value in enumerate(column):
      if isinstance(value, bytes):
        column[row] = value.decode("utf-8", "replace")
      elif isinstance(value, decimal.Decimal):
        column[row] = float(value)
    missing = [blank(v) and not isinstance(v, str) for v in column]
    column[missing] = None
    known = _known(column)
  if known.dtype.kind == "f" and not np.isfinite(known).all():
    raise DataError(
      f"{name}: a value is not finite; give None where it is unknown, or leave "
      "such rows out"
    )
  return known if len(known) == len(column) else column


def _has_dates(column: np.ndarray) -> bool:
  """Tell whether objects are dates; pandas' NaT may stand beside words."""
  if column.dtype.kind != "O":
    return False
  return any(isinstance(v, _DATES) and not blank(v) for v in column)


def _known(column: np.ndarray) -> np.ndarray:
  """Return the values that are not None, as an array of their own type."""
  return np.asarray([value for value in column if value is not None])


def is_number(column: np.ndarray) -> bool:
  """Tell whether the values that are known are floats."""
  known = _known(column) if column.dtype.kind == "O" else column
  return known.dtype.kind == "f"


def named(conditions: Any) -> dict[str, Any]:
  """Return conditions, or the columns of a data frame, by name.

  Raises:
    DataError: they have no names.
  """
  if not hasattr(conditions, "keys"):
    said = getattr(conditions, "shape", type(conditions).__name__)
    raise DataError(
      f"conditions are {{name: [N]}} or a DataFrame; found {said}: give each "
      "column a name, as {'size': values[:, 0]}"
    )
  return dict(conditions)
