"""Bring columns to the device: whole if they fit, else batch by batch."""

import functools
import mmap
from collections.abc import Callable, Mapping

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import Repeated
from cvae_jax.loop.mesh import ONE, Mesh
from cvae_jax.types import Batch

_LABELLED = (
  ": the system reads labelled images beside the others, which the data source "
  "'digits' has, or one of your own (ARCHITECTURE.md, Few labels)"
)
_PIXELS = ("image", "labelled_image", "photo")  # uint8 until compiled
Columns = Mapping[str, NDArray | Repeated]  # of equal length
RESIDENT_BYTES = 2 << 30  # columns above this stay on the host, memory-mapped
HOST_BYTES = 1 << 30  # the same on a CPU, where it is the host's memory


class Feed:
  """Returns (table, rows) such that `take(table, rows)` is the batch.

  Small data lie on the device as uint8, and the compiled step gathers the
  batch. Large data are gathered on the host, and each batch is copied to the
  device. The compiled step is the same for both. A Repeated column is stored
  as its entries, once each. On a mesh, each device holds small data in full,
  and of large data only its part of a batch.
  """

  def __init__(
    self, columns: Columns, limit: int | None = None, mesh: Mesh = ONE
  ):
    if limit is None:
      own = jax.default_backend() != "cpu"  # the device has its own memory
      limit = RESIDENT_BYTES if own else HOST_BYTES
    _check_lengths(columns)
    self.columns = columns
    self.rows = next(iter(columns.values())).shape[0]
    size = sum(column.nbytes for column in columns.values())
    self.mesh = mesh
    self.resident = mesh.replicate(dict(columns)) if size <= limit else None
    if self.resident is None:
      for column in columns.values():
        _expect_any_order(getattr(column, "entries", column))

  def __call__(self, rows: NDArray) -> tuple[Batch, jax.Array]:
    """Return the table and the rows [..., B] to take from it."""
    if self.resident is not None:
      return self.resident, self.mesh.split(rows)
    read = {
      n: functools.partial(_take_rows, c) for n, c in self.columns.items()
    }
    return self.mesh.gather(read, rows)

  @property
  def take(self) -> Callable:
    """Return `take`, as the mesh runs it on this feed's batches."""
    return take if self.resident is not None else self.mesh.local(take)


def take(table: Batch, rows: jax.Array) -> Batch:
  """Gather a batch from a table, inside the compiled step."""
  return {name: _take_rows(column, rows) for name, column in table.items()}


def _expect_any_order(array: NDArray) -> None:
  """Tell the system that rows of a memory-mapped array are read in any order.

  Else Linux reads up to megabytes around each row. With a million images of
  64×64×3 a batch of 32 then took 24 to 49 ms of processor time; now it is 0.5.
  """
  while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
    array = array.base
  mapped = getattr(array, "_mmap", None)
  if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
    mapped.madvise(mmap.MADV_RANDOM)


def _take_rows(column: NDArray | jax.Array | Repeated, rows):
  return column.at(rows) if isinstance(column, Repeated) else column[rows]


def check(
  columns: Columns, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray | Repeated]:
  """Pick the columns that a system needs and check their shapes.

  Raises:
    ValueError: a column is missing, its examples have another shape or its
      pixels another type than uint8, or lengths differ.
  """
  for name, shape in expected.items():
    if name not in columns:
      raise ValueError(
        f"the data have no column {name!r}; they have {sorted(columns)}"
        + (_LABELLED if name in ("label", "labelled_image") else "")
      )
    if columns[name].shape[1:] != tuple(shape):
      raise ValueError(
        f"column {name!r}: the data's examples have shape "
        f"{columns[name].shape[1:]}, the config's {tuple(shape)}; change "
        "config.data or prepare the data in that size"
      )
    dtype = getattr(columns[name], "entries", columns[name]).dtype
    if name in _PIXELS and dtype != np.uint8:
      raise ValueError(
        f"column {name!r} is of type {dtype}; images are uint8, 0..255"
      )
  picked = {name: columns[name] for name in expected}
  _check_lengths(picked)
  return picked


def _check_lengths(columns: Columns) -> None:
  """Check that columns have equally many rows, at least one.

  Raises:
    ValueError: they differ, both lengths are named; or there is no row.
  """
  lengths = {name: column.shape[0] for name, column in columns.items()}
  first = next(iter(lengths))
  for name, length in lengths.items():
    if length != lengths[first]:
      raise ValueError(
        f"column {first!r} has {lengths[first]} rows, but column {name!r} has "
        f"{length}; columns are of equal length"
      )
  if not lengths[first]:
    raise ValueError("the data have 0 rows; bring a split that is not empty")
