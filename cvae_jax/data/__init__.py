"""Data sources: each is a module whose `load(config)` returns a Dataset."""

import importlib
import os
import pathlib
import pkgutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_READERS = ("vgg_files",)  # of pretrained weights
_HELPERS = {
  "columns",
  "companions",
  "decoding",
  "digit_checks",
  "digit_conditions",
  "digit_files",
  "download",
  "face_conditions",
  "face_tables",
  "finding",
  "identity",
  "image_files",
  "order",
  "packaged_photos",
  "prepared",
  "preparing",
  "synthetic_faces",
  "vgg_files",
  "weight_files",
}  # Modules of this folder that are not sources.


class DataError(ValueError):
  """Says what was found in the data, what was expected and what to do."""


class Repeated(NamedTuple):
  """A column in which each entry serves `times` rows in turn, stored once.

  Row r is entry r // times: np.repeat(entries, times, axis=0) without its
  copies. `entries` may be memory-mapped, or on the device (feed.Feed).
  """

  entries: Any  # [N / times, ...]
  times: int

  @property
  def shape(self) -> tuple[int, ...]:
    """Return the shape as if every row were stored."""
    return (len(self.entries) * self.times, *self.entries.shape[1:])

  @property
  def nbytes(self) -> int:
    """Return the bytes that are stored."""
    return self.entries.nbytes

  def at(self, rows: Any) -> Any:
    """Return the entries [..., *entry] of row numbers [...]."""
    return self.entries[rows // self.times]


class Dataset(NamedTuple):
  """Columns of equal length, held out or not, and how to condition on them.

  `conditions` is the source's own object: it turns what a person asks for
  into condition vectors and measures what an image shows. `name` is what a
  report calls the data.
  """

  train: Mapping[str, np.ndarray]
  test: Mapping[str, np.ndarray] | None
  conditions: Any
  name: str = ""

  def identity(self, whole: bool = False) -> dict[str, Any]:
    """Return what says which data these are; see `identity.of`.

    Args:
      whole: read all of a prepared set's images, not only sampled blocks.

    Raises:
      DataError: if a prepared set's images are not those that were prepared.
    """
    module = importlib.import_module(f"{__name__}.identity")
    return module.of({"train": self.train, "test": self.test}, whole)


def root() -> pathlib.Path:
  """Return the data folder: $CVAE_JAX_DATA, else `data` where we stand."""
  return pathlib.Path(os.environ.get("CVAE_JAX_DATA") or "data").expanduser()


def sources() -> list[str]:
  """List the names `config.name` may take: the source modules here."""
  found = {module.name for module in pkgutil.iter_modules(__path__)}
  return sorted(found - _HELPERS)


def load(config: Any) -> Dataset:
  """Load the source `cvae_jax.data.<config.name>`.

  Args:
    config: `config.data`; `name` picks the module, which documents the rest.

  Returns:
    The Dataset of that source.

  Raises:
    DataError: if no source has that name, or its data are missing or bad.
  """
  if config.name not in sources():
    raise DataError(
      f"no data source {config.name!r}; config.data.name is one of: "
      + ", ".join(sources())
    )
  return importlib.import_module(f"{__name__}.{config.name}").load(config)


def pretrained(config: Any) -> Any:
  """Load a tree of weights by `cvae_jax.data.<config.reader>`.

  Args:
    config: one entry of `config.pretrained`; `reader` picks the module, whose
      `weights` documents the rest.

  Raises:
    DataError: if there is no such reader, or the weights are missing, damaged
      or others.
  """
  if config.reader not in _READERS:
    raise DataError(
      f"no reader of weights {config.reader!r}; there is {', '.join(_READERS)}"
    )
  reader = importlib.import_module(f"{__name__}.{config.reader}")
  return reader.weights(config)
