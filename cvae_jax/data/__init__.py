"""Data sources: each is a module whose `load(config)` returns a Dataset."""

import importlib
import os
import pathlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from cvae_jax.host import plugins
from cvae_jax.host.paths import local

_READERS = ("vgg_files",)  # of pretrained weights


class DataError(ValueError):
  """Says what was found in the data, what was expected and what to do."""


class Repeated(NamedTuple):
  """A column in which each entry, stored once, serves `times` rows in turn.

  Row r is entry r // times, as in np.repeat(entries, times, axis=0) without the
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


# How config.data.binarise makes values 0 or 1: never, in each step, or once.
BINARISE = ("", "dynamic", "static")


class Dataset(NamedTuple):
  """Training and held-out columns of equal length, and their conditions.

  Early stopping and plateaus follow the rows of `valid`, and `test` is measured
  at the end. Without `valid`, `test` serves for both.

  `conditions` is the source's own object: it turns requests into condition
  vectors and measures what an image shows. `name` is what a report calls the
  data.
  """

  train: Mapping[str, np.ndarray]
  test: Mapping[str, np.ndarray] | None
  conditions: Any
  name: str = ""
  valid: Mapping[str, np.ndarray] | None = None

  def identity(self, whole: bool = False) -> dict[str, Any]:
    """Return what identifies the data; see `identity.compute`.

    Args:
      whole: read all of a prepared set's images, not only sampled blocks.

    Raises:
      DataError: if a prepared set's images are not those that were prepared.
    """
    module = importlib.import_module(f"{__name__}.files.identity")
    parts = {"train": self.train, "test": self.test}
    if self.valid is not None:
      parts["valid"] = self.valid
    return module.compute(parts, whole)


def root() -> pathlib.Path:
  """Return the data folder: $CVAE_JAX_DATA, else `data` in this folder."""
  return local(os.environ.get("CVAE_JAX_DATA") or "data", "CVAE_JAX_DATA")


def sources() -> list[str]:
  """List the names `config.name` may take: the source modules here."""
  found = pkgutil.iter_modules(__path__)
  return sorted(module.name for module in found if not module.ispkg)


def source(name: str) -> ModuleType:
  """Import a data source by its name.

  Args:
    name: a module of this folder, or the dotted name of a user's own module
      with `load(config) -> Dataset` and a class `Conditions`.

  Raises:
    ConfigError: there is no such module, or it may not be imported.
  """
  package = sys.modules[__name__]
  return plugins.load(name, package, "data source", sources())


def load(config: Any) -> Dataset:
  """Load the data that a config names.

  Args:
    config: `config.data`; its key `name` picks the source, whose module
      documents the other keys.

  Raises:
    DataError: if the data are missing or bad.
    ConfigError: there is no such source, or it may not be imported.
  """
  found = source(config.name).load(config)
  plugins.check(found, Dataset, f"load of {config.name!r}")
  return binarise(found, config)


def binarise(dataset: Dataset, config: Any) -> Dataset:
  """Draw values 0 or 255 from images, once, if config.binarise is "static".

  Raises:
    DataError: no such choice, there are no images in memory, or each row has a
      companion's, whose values would be drawn anew for each row.
  """
  how = getattr(config, "binarise", "")
  if how not in BINARISE:
    raise DataError(
      f"data.binarise is one of {', '.join(map(repr, BINARISE))}; found {how!r}"
    )
  if how != "static":
    return dataset

  def draw(split: Mapping[str, np.ndarray] | None, seed: int):
    if split is None:
      return None
    image = split.get("image")
    if type(image) is not np.ndarray or image.dtype != np.uint8:
      raise DataError(
        "data.binarise=static draws the values of images in memory; set it to "
        "dynamic for these data"
      )
    other = split.get("labelled_image", image)
    if other is not image:
      raise DataError(
        "data.binarise=static stands beside no data.labels; set it to dynamic"
      )
    level = np.random.default_rng(seed).integers(0, 255, image.shape, np.uint8)
    binary = np.where(level < image, np.uint8(255), np.uint8(0))
    names = {"image", "labelled_image"} & split.keys()
    return {**split, **dict.fromkeys(names, binary)}

  return dataset._replace(
    train=draw(dataset.train, 0),
    test=draw(dataset.test, 1),
    valid=draw(dataset.valid, 2),
  )


def from_arrays(
  images: Any,
  conditions: Mapping[str, Any] | None = None,
  held_out: float = 0.1,
  seed: int = 0,
  kinds: Mapping[str, str] | None = None,
  groups: Any = None,
) -> Dataset:
  """Build a Dataset from arrays, shuffled, a part of it held out.

  Args:
    images: uint8 [N, H, W] or [N, H, W, C]: any channels, 1 is grey, 3 RGB.
    conditions: {name: [N]}, or a DataFrame. Words, whole numbers and booleans
      are a class, floats a number, which is scaled to [0, 1]. None is unknown;
      so is NaN among words.
    held_out: the share of the rows that is held out; 0 for none.
    seed: of the shuffling.
    kinds: {name: kind} of columns that are of another kind, as in
      {"grade": "ordinal:low<mid<high", "dose": "log"}. Kinds are class,
      binary, multilabel, ordinal, number, log and angle.
    groups: [N], such as persons: rows of one train or are held out together.

  Raises:
    DataError: if lengths, types or values do not fit.
  """
  module = importlib.import_module(f"{__name__}.arrays")
  given = {} if conditions is None else module.array_columns.named(conditions)
  return module.make(images, given, held_out, seed, kinds or {}, groups)


def from_records(
  records: Any,
  folder: str | os.PathLike[str],
  image: str = "image",
  conditions: Sequence[str] = (),
  held_out: float = 0.1,
  seed: int = 0,
  kinds: Mapping[str, str] | None = None,
) -> Dataset:
  """Build a Dataset from records that are read one by one, once.

  The images are written to one memory-mapped file: they need not fit into
  memory, and any batch can be found again when a run resumes.

  Args:
    records: anything with a length whose entries are found by their numbers
      and are mappings: a grain MapDataset, a datasets.Dataset of Hugging Face
      (`with_format("numpy")`), a map-style dataset of PyTorch.
    folder: where the images are written, as images.npy.
    image: the name of a record's image, uint8 [H, W] or [H, W, C], all of one
      shape.
    conditions: the names of values to condition on, one value a record each.
    held_out: the share of the records that is held out; 0 for none.
    seed: of the shuffling.
    kinds: {name: kind}, see `from_arrays`.

  Raises:
    DataError: if names, shapes, types or values do not fit.
  """
  module = importlib.import_module(f"{__name__}.files.records")
  rows = module.copy(records, folder, image, conditions, held_out, seed)
  arrays = importlib.import_module(f"{__name__}.arrays")
  return arrays.build(*rows, kinds or {})


def pretrained(config: Any) -> Any:
  """Load a tree of weights by `cvae_jax.data.files.<config.reader>`.

  Args:
    config: one entry of `config.pretrained`; `reader` picks the module, whose
      `weights` documents the rest.

  Raises:
    DataError: if there is no such reader, or the weights are missing, damaged
      or of another network.
  """
  if config.reader not in _READERS:
    raise DataError(
      f"no reader of weights {config.reader!r}; there is {', '.join(_READERS)}"
    )
  reader = importlib.import_module(f"{__name__}.files.{config.reader}")
  return reader.weights(config)
