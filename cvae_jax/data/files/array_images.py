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
      "[N, H, W, C] or [N, C, H, W] with C of 1, 3 or 4; for more channels "
      "hand in arrays from Python, see data.from_arrays"
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


def check_channels(images: np.ndarray) -> None:
  """Refuse uint8 [N, H, W, C] whose last axis is no axis of channels.

  Raises:
    DataError: the channels come first, or the last one is the opacity.
  """
  refuse_channels_first(images.shape[1:], "images", "(0, 2, 3, 1)")
  if images.shape[3] in (2, 4) and images[..., -1].min() == 255:
    last = images.shape[3] - 1
    raise DataError(
      f"images have {last + 1} channels, and the last one is 255 everywhere, "
      f"as the opacity of RGBA is: give images[..., :{last}]"
    )


def refuse_channels_first(
  shape: tuple[int, ...], name: str, order: str
) -> None:
  """Refuse images that have more channels than rows.

  Args:
    shape: (H, W, C) of an image.
    name: what they are called where they are given.
    order: of the axes that brings the channels last.

  Raises:
    DataError: they have.
  """
  height, _, channels = shape
  if height < channels:
    raise DataError(
      f"{name} of {shape} have a height of {height} and {channels} channels; "
      f"expected (H, W, C): where channels come first, give "
      f"{name}.transpose{order}"
    )


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
