"""Images out of arrays: their layout and their white level."""

import pathlib

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import decoding

_CHUNK = 4096  # rows that are looked at at once


def upright(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
  """Return images [N, H, W] or [N, H, W, C], whatever their axes' order.

  Raises:
    DataError: if they are no images.
  """
  if array.ndim == 2:
    array = _unflatten(array, path)
  channels = (1, 3, 4)
  if array.ndim == 4 and array.shape[3] not in channels:
    array = np.moveaxis(array, 1, 3)
  fits = array.ndim == 3 or (array.ndim == 4 and array.shape[3] in channels)
  if not fits or array.dtype.kind not in "buif" or not array.size:
    raise DataError(
      f"{path}: found {array.dtype} {array.shape}; expected images [N, H, W], "
      "[N, H, W, C] or [N, C, H, W] with C of 1, 3 or 4"
    )
  return array


def _unflatten(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
  """Return images of rows of pixels, if they are square."""
  for channels in (1, 3):
    side = round((array.shape[1] / channels) ** 0.5)
    if side * side * channels == array.shape[1]:
      shape = (-1, side, side) if channels == 1 else (-1, 3, side, side)
      return array.reshape(shape)
  raise DataError(
    f"{path}: rows of {array.shape[1]} pixels are no square images; save them "
    "as [N, H, W] or [N, H, W, C]"
  )


def white_level(
  array: np.ndarray, path: pathlib.Path, given: float = 0.0
) -> float:
  """Return the white level of all images together: `given`, if it is above 0.

  Samples of one byte do not reach a level above 255, which is then not theirs.

  Raises:
    DataError: if a value is negative, not finite or of no known range.
  """
  peak = 0.0
  whole = True
  for start in range(0, len(array), _CHUNK):
    chunk = np.asarray(array[start : start + _CHUNK])
    low = float(chunk.min())
    high = float(chunk.max())
    if not (np.isfinite(high) and low >= 0):
      raise DataError(
        f"{path}: pixels are from {low:g} to {high:g}; expected finite values "
        "of at least 0: rescale them to 0..1 or 0..255"
      )
    peak = max(peak, high)
    whole = whole and decoding.are_whole(chunk)
  if given and (given <= 255 or array.dtype.itemsize > 1):
    return given
  if array.dtype == np.uint8:
    return decoding.white_level(np.array([peak], np.uint8))
  try:
    return decoding.choose_white(peak, whole)
  except DataError as error:
    raise DataError(f"{path}: {error}") from None


def refuse_mask(peak: int, name: str) -> None:
  """Refuse images of bytes that are 0 and 1: they would be all but black.

  Args:
    peak: their largest value.
    name: what they are called where they are given.

  Raises:
    DataError: it is 1.
  """
  if peak == 1:
    raise DataError(
      "images are uint8 in which black is 0 and white is 255; found values of "
      f"0 and 1: give {name} * np.uint8(255)"
    )
