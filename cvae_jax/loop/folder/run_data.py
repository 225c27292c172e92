"""The data of a run: data.json, and loading what it names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from cvae_jax import data
from cvae_jax.data.files import identity as identities
from cvae_jax.host.files import DamagedFile, read_json, write_atomically
from cvae_jax.host.paths import local
from cvae_jax.loop.folder.checkpoint_names import is_export
from cvae_jax.types import Facts

SEEN = 256  # images whose brightness stands for all
# Identifies the data that a run trains on, and those held out.
DATA = "data.json"
# Keys of config.data that hold for any data, also for those handed in.
MADE = ("binarise", "condition_dropout")

_ELSEWHERE = (
  "bring the old data back, or say where they are: launch.evaluate --data=PATH"
)


class RunMismatch(ValueError):
  """Says why a folder's run cannot be continued as asked."""


def name_arrays(config: ConfigDict) -> ConfigDict:
  """Return a config whose data are named "arrays": a caller handed them in.

  Of its other keys those stay that say what training makes of the data.
  """
  config = config.copy_and_resolve_references()
  kept = {key: config.data[key] for key in MADE if key in config.data}
  with config.unlocked():
    config.data = {"name": "arrays"} | kept
  return config.lock()


def keep_identity(folder: Path, identity: Mapping[str, Any]) -> None:
  """Write a run's data.json."""
  content = json.dumps(identity, indent=2, sort_keys=True) + "\n"
  write_atomically(Path(folder) / DATA, content)


def check_data(
  folder: Path,
  identity: Mapping[str, Any],
  remedy: str = "bring the old data back or use another --workdir",
) -> None:
  """Check today's data against a run's data.json; older runs have none.

  Args:
    folder: the run's.
    identity: of today's data.
    remedy: what to do if they are others.

  Raises:
    RunMismatch: they are others; what differs is named.
  """
  path = Path(folder) / DATA
  if not path.exists():
    return
  saved = _identity(path, "delete it to take today's data for the run's")
  differing = identities.differences(saved, identity)
  if differing:
    raise RunMismatch(
      f"{path}: the training data have changed since this run began, or its "
      f"held-out data have: {'; '.join(differing)}; {remedy}"
    )


def facts(folder: Path) -> Facts | None:
  """Return what a run's folder says of its data; None for an older run."""
  path = Path(folder) / DATA
  if not path.exists():
    return None
  columns = _identity(path, "bring a copy of it back")["train"]
  shapes = {name: tuple(c["shape"][1:]) for name, c in columns.items()}
  return Facts(shapes, next(iter(columns.values()))["shape"][0])


def _identity(path: Path, remedy: str) -> dict[str, Any]:
  """Read a data.json.

  Raises:
    DamagedFile: it lacks what `identity.compute` returns, or has it otherwise.
  """
  saved = read_json(path, dict, remedy)
  splits = [columns for columns in saved.values() if columns is not None]
  if not (saved.get("train") and all(map(_is_split, splits))):
    raise DamagedFile(
      f"{path} is damaged: expected split → column → shape, dtype and sha256; "
      f"{remedy}"
    )
  return saved


def _is_split(columns: Any) -> bool:
  return isinstance(columns, dict) and all(
    isinstance(column, dict)
    and isinstance(shape := column.get("shape"), list)
    and shape
    and all(type(size) is int for size in shape)
    and isinstance(column.get("dtype"), str)
    and isinstance(column.get("sha256"), str)
    for column in columns.values()
  )


def mean(image: Any) -> tuple[float, ...]:
  """Return the mean [C] of some images [N, H, W, C] in [0, 1]; () without."""
  if not isinstance(image, np.ndarray) or image.ndim != 4 or not len(image):
    return ()
  some = image[:: -(-len(image) // SEEN)]
  return tuple((some.mean(axis=(0, 1, 2)) / 255.0).tolist())


class Datasets:
  """Load the data of several runs, those of one config once."""

  def __init__(self):
    self._loaded: dict[str, data.Dataset] = {}
    self._identities: dict[str, dict[str, Any]] = {}

  def __call__(self, folder: Path, config: Any) -> data.Dataset:
    """Return the data of `config.data`, checked against the run's data.json.

    Args:
      folder: the run's.
      config: the run's config.data.

    Raises:
      DataError: they are missing or bad.
      RunMismatch: they are not those of the run.
    """
    key = repr(config)
    if key not in self._loaded:
      self._loaded[key] = _load(folder, config)
    dataset = self._loaded[key]
    if (Path(folder) / DATA).exists():
      if key not in self._identities:
        self._identities[key] = dataset.identity()
      check_data(folder, self._identities[key], _ELSEWHERE)
    return dataset


def load_data(
  folder: Path, config: Any, given: data.Dataset | None = None
) -> data.Dataset:
  """Load a run's data, checked against its data.json; see `Datasets`.

  Args:
    folder: the run's.
    config: the run's config.data.
    given: the data that were handed in for training, instead of loading. They
      are made as training made them: data.binarise.
  """
  if given is None:
    return Datasets()(folder, config)
  dataset = data.binarise(given, config)
  check_data(folder, dataset.identity(), "hand in those it was trained on")
  return dataset


def _load(folder: Path, config: Any) -> data.Dataset:
  try:
    return data.load(config)
  except data.DataError as error:
    path = config.get("path", "")
    if path and not local(path, "config.data.path").exists():
      raise data.DataError(
        f"{path}, where {Path(folder) / 'config.json'} says that the run's "
        "data are, is not there; say where they are now: launch.evaluate "
        "--data=PATH (which also holds for judges of the same path), or "
        f"data.path in that file. Found: {error}"
      ) from error
    if not path and is_export(folder):  # images advise a flag of trainings
      found = "" if config.name == "images" else f". Found: {error}"
      raise data.DataError(
        f"{folder} is an export, which does not say where its data are; say "
        f"it: launch.evaluate --data=PATH{found}"
      ) from error
    raise


def has_same_images(folder: Path, other: Path) -> bool:
  """Tell by their data.json whether two runs trained on the same images."""
  if not all((Path(where) / DATA).exists() for where in (folder, other)):
    return False
  ours, theirs = (
    _identity(Path(where) / DATA, "bring a copy of it back")["train"]
    for where in (folder, other)
  )
  return "image" in ours and ours["image"] == theirs.get("image")
