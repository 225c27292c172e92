"""Named arrays from files of weights, by their ending; see `read`."""

import io
import pathlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import torch_files
from cvae_jax.host import tensors
from cvae_jax.host.files import DamagedFile

Arrays = Mapping[str, np.ndarray]


def read(path: pathlib.Path) -> Arrays:
  """Read all arrays of a file by its ending, names joined by slashes.

  A pickle (.ckpt) is read by an unpickler that admits NumPy arrays alone, a
  file of PyTorch (.pth, .pt) by one that admits tensors alone.

  Raises:
    DataError: if the ending is unknown, a package is missing, or the content
      is damaged or more than arrays.
  """
  readers = {
    ".ckpt": _read_pickle,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".keras": _keras,
    ".pth": _read_torch,
    ".pt": _read_torch,
  }
  reader = readers.get(path.suffix)
  if reader is None:
    raise DataError(f"{path}: expected a file ending in {', '.join(readers)}")
  try:
    return reader(path)
  except ModuleNotFoundError as error:
    raise DataError(
      f"{path} needs the package {error.name}: pip install 'cvae_jax[features]'"
    ) from error
  except DataError:
    raise
  except DamagedFile as error:  # says the same in its own words
    raise DataError(str(error)) from error
  except Exception as error:  # each format has its own kinds
    raise DataError(f"{path}: damaged or no weights: {error}") from error


class ArraysOnly(pickle.Unpickler):
  """Unpickles dicts of NumPy arrays and refuses everything else."""

  _ADMITTED = ("_reconstruct", "ndarray", "dtype")

  def find_class(self, module: str, name: str) -> Any:
    """Return what a pickle asks for, if it is NumPy's and harmless."""
    if module.split(".")[0] != "numpy" or name not in self._ADMITTED:
      raise DataError(
        f"the pickle asks for {module}.{name}; only NumPy arrays are admitted"
      )
    if name == "_reconstruct":
      return np._core.multiarray._reconstruct
    return getattr(np, name)


def _read_pickle(path: pathlib.Path) -> Arrays:
  with path.open("rb") as file:
    return dict(_flat(ArraysOnly(file).load()))


def _read_torch(path: pathlib.Path) -> Arrays:
  return dict(_flat(torch_files.read(path)))


def _flat(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{name}/")
    else:
      yield prefix + name, np.asarray(value)


def _npz(path: pathlib.Path) -> Arrays:
  with np.load(path, allow_pickle=False) as file:
    return dict(file)


def _safetensors(path: pathlib.Path) -> Arrays:
  return tensors.read(path)[0]


def _keras(path: pathlib.Path) -> Arrays:
  """Read the weights of a .keras archive; nothing else of it is read."""
  with zipfile.ZipFile(path) as archive:
    return _hdf5(io.BytesIO(archive.read("model.weights.h5")))


def _hdf5(source: pathlib.Path | io.BytesIO) -> Arrays:
  import h5py  # an extra: few bring such a file

  found = {}
  with h5py.File(source, "r") as file:
    file.visititems(
      lambda name, item: (
        found.update({name: item[()]})
        if isinstance(item, h5py.Dataset)
        else None
      )
    )
  return found
