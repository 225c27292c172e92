"""Data that are read record by record: of grain, Hugging Face or PyTorch.

    from cvae_jax import data

    dataset = data.from_records(records, "data/mine", conditions=("label",))

The images are written once, as one memory-mapped array in shuffled order.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import array_splits
from cvae_jax.data.files.array_images import refuse_channels_first, refuse_mask
from cvae_jax.host.paths import local


class Records(Protocol):
  """Anything with a length whose entries are found by their numbers."""

  def __len__(self) -> int:
    """Return the number of records."""

  def __getitem__(self, row: int) -> Mapping[str, Any]:
    """Return one record."""


def count(records: Records) -> int:
  """Return the number of records.

  Raises:
    DataError: there is none, or they have no length.
  """
  if not hasattr(records, "__len__"):
    raise DataError(
      "records have a length and are found by their numbers; found "
      f"{type(records).__name__}: give list(records)"
    )
  if not len(records):
    raise DataError("there are 0 records; bring at least one")
  return len(records)


def copy(
  records: Records,
  folder: str | os.PathLike[str],
  image: str,
  conditions: Sequence[str],
  held_out: float,
  seed: int,
) -> tuple[np.memmap, dict[str, list[Any]], slice, slice]:
  """Read shuffled records; see data.from_records.

  Returns:
    The images uint8 [N, H, W, C], memory-mapped from images.npy in the folder,
    {name: N values} of the conditions, the rows that train and the others.

  Raises:
    DataError: a name is missing, an image is of another type or shape, or all
      are of 0 and 1.
  """
  train, test = array_splits.shuffle(count(records), held_out, seed)
  order = [*train.tolist(), *test.tolist()]
  first = _read(records, order[0], image, conditions)[image]
  folder = local(folder, "folder")
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / "images.npy"
  # A run that reads an earlier file keeps it: this one takes its place whole.
  new = folder / f"images.{os.getpid()}.npy"
  shape = (len(order), *first.shape)
  images = np.lib.format.open_memmap(new, "w+", np.uint8, shape)
  values = {name: [] for name in conditions}
  peak = 0
  try:
    for place, row in enumerate(order):
      record = _read(records, row, image, conditions)
      _check_shape(record[image], first.shape, row)
      images[place] = record[image]
      peak = max(peak, record[image].max())
      for name in conditions:
        values[name].append(record[name])
    refuse_mask(peak, "each image")
    images.flush()
    new.replace(path)
  finally:
    new.unlink(missing_ok=True)
  parts = slice(0, len(train)), slice(len(train), None)
  return np.load(path, mmap_mode="r"), values, *parts


def _read(
  records: Records, row: int, image: str, conditions: Sequence[str]
) -> dict[str, Any]:
  """Return a record with its image as uint8 [H, W, C].

  Raises:
    DataError: a name is missing, or the image is of another type or shape.
  """
  record = records[row]
  if not isinstance(record, Mapping):
    raise DataError(
      f"record {row} is a {type(record).__name__}; expected a mapping of "
      f"names, as in {{{image!r}: pixels, 'label': 3}}. Name the parts of a "
      "tuple in a class of your own whose __getitem__ returns a dict"
    )
  record = dict(record)
  for name in (image, *conditions):
    if name not in record:
      raise DataError(f"record {row} has no {name!r}; it has {sorted(record)}")
  pixels = np.asarray(record[image])
  if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
    raise DataError(
      f"record {row}: an image is uint8 [H, W] or [H, W, C]; found "
      f"{pixels.dtype} {pixels.shape}"
    )
  pixels = pixels if pixels.ndim == 3 else pixels[..., None]
  refuse_channels_first(pixels.shape, "image", "(1, 2, 0)")
  record[image] = pixels
  return record


def _check_shape(
  pixels: np.ndarray, expected: tuple[int, ...], row: int
) -> None:
  """Check that an image has the shape of the first.

  Raises:
    DataError: it has another.
  """
  if pixels.shape != expected:
    raise DataError(
      f"record {row} has an image of {pixels.shape}, others {expected}; "
      "resize them first"
    )
