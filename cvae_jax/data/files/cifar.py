"""CIFAR-10 and CIFAR-100 as their authors pack them: pickles of arrays."""

import io
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import archives, arrays
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.data.files.weight_files import ArraysOnly

_BATCHES = {f"data_batch_{i}": "train" for i in range(1, 6)}
_FILES = _BATCHES | {"test_batch": "test", "train": "train", "test": "test"}
_META = ("batches.meta", "meta")
# Labels of a batch → the attribute, and the names of its levels in the meta.
_LABELS = {
  "labels": ("class", "label_names"),
  "fine_labels": ("class", "fine_label_names"),
  "coarse_labels": ("superclass", "coarse_label_names"),
}


def find(path: pathlib.Path, transpose: bool, white: float) -> Pictures | None:
  """Open CIFAR's folder or tar, None if the path is neither.

  Raises:
    DataError: if a file is damaged, or holds more than arrays.
  """
  files = _files(path)
  if files is None:
    return None
  meta = next((files[name] for name in _META if name in files), None)
  names = _unpickle("meta", meta()) if meta else {}
  parts = []
  for name, split in _FILES.items():
    if name not in files:
      continue
    batch = _unpickle(name, files[name]())
    if not isinstance(batch.get("data"), np.ndarray):
      raise DataError(f"{path}: {name} holds no array 'data'")
    images = batch["data"].reshape(-1, 3, 32, 32)
    attributes = {
      attribute: _name_levels(batch[key], names.get(levels))
      for key, (attribute, levels) in _LABELS.items()
      if key in batch
    }
    parts.append(arrays.Part(split, images, attributes))
  return arrays.join(_join_parts(parts), path, transpose, white, _schema(parts))


def _files(path: pathlib.Path) -> dict[str, Callable[[], bytes]] | None:
  """Return name → content of CIFAR's files."""
  if path.is_dir():
    folders = [path, *sorted(path.glob("cifar-*"))]
    found = {f.name: f.read_bytes for d in folders for f in d.glob("*")}
  elif "cifar" in path.name.lower() and archives.is_tar(path):
    sizes, read = archives.open_tar(path)
    found = {n.rpartition("/")[2]: lambda n=n: read(n) for n in sizes}
  else:
    return None
  ten = "data_batch_1" in found and "batches.meta" in found
  hundred = {"train", "test", "meta"} <= found.keys()
  return found if ten or hundred else None


def _unpickle(name: str, content: bytes) -> dict[str, Any]:
  try:
    found = ArraysOnly(io.BytesIO(content), encoding="latin1").load()
  except DataError as error:
    raise DataError(f"{name}: {error}") from error
  except (pickle.UnpicklingError, EOFError, ValueError) as error:
    raise DataError(f"{name}: damaged: {error}") from error
  return found if isinstance(found, dict) else {}


def _name_levels(labels: list[int], levels: list[str] | None) -> np.ndarray:
  return np.array(labels if levels is None else [levels[i] for i in labels])


def _join_parts(parts: list[arrays.Part]) -> list[arrays.Part]:
  """Put the batches of a split together."""
  found = []
  for split in ("train", "test"):
    own = [part for part in parts if part.split == split]
    if own:
      attributes = {
        name: np.concatenate([part.attributes[name] for part in own])
        for name in own[0].attributes
      }
      images = np.concatenate([part.images for part in own])
      found.append(arrays.Part(split, images, attributes))
  return found


def _schema(parts: list[arrays.Part]) -> dict[str, dict[str, str]]:
  names = parts[0].attributes if parts else ()
  return {name: {"name": name, "kind": "class"} for name in names}
