"""Which rows a batch, an evaluation or a measurement uses."""

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


@functools.lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int32]:
  """Shuffle `rows` rows for one epoch: [N], the same at every call."""
  generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
  order = generator.permutation(rows).astype(np.int32)
  order.flags.writeable = False  # the cache returns this very array
  return order


def steps_per_epoch(rows: int, batch_size: int) -> int:
  """Count the whole batches of an epoch; the odd rows wait for the next.

  Raises:
    ValueError: not one batch can be filled.
  """
  if rows < batch_size:
    raise ValueError(
      f"the training split has {rows} rows, fewer than one batch of "
      f"{batch_size}; lower batch_size"
    )
  return rows // batch_size


def rows_at(seed: int, step: int, rows: int, batch_size: int) -> NDArray:
  """Return the row numbers [B] of the batch that update `step` trains on."""
  epoch, position = divmod(step, steps_per_epoch(rows, batch_size))
  start = position * batch_size
  return permutation(seed, epoch, rows)[start : start + batch_size]


def padded_batches(
  rows: int, batch_size: int
) -> Iterator[tuple[NDArray, NDArray]]:
  """Yield (row numbers [B], mask [B]): each row once, the last batch padded.

  Every batch has the same shape, so evaluation compiles once.
  """
  for start in range(0, rows, batch_size):
    numbers = np.arange(start, start + batch_size, dtype=np.int32)
    mask = numbers < rows
    yield np.where(mask, numbers, 0), mask


def spread(rows: int, most: int) -> NDArray:
  """Return at most `most` of `rows` row numbers, spread evenly.

  The first rows alone may all be of one class.
  """
  return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int))
