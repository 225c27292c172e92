"""Arrays of PyTorch's own files (.pth, .pt), read without PyTorch.

Such a file is a pickle, which may hold code. Here it may ask for tensors and
dicts alone. Since PyTorch 1.6 it is a zip archive with a file for the numbers
of each tensor. Older ones, as that of FID's Inception, are several pickles in
a row, and the numbers come after them.
"""

import collections
import math
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from cvae_jax.data import DataError

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of an older file
_KINDS = {
  "FloatStorage": "<f4",
  "DoubleStorage": "<f8",
  "HalfStorage": "<f2",
  "LongStorage": "<i8",
  "IntStorage": "<i4",
  "ShortStorage": "<i2",
  "CharStorage": "|i1",
  "ByteStorage": "|u1",
  "BoolStorage": "|b1",
}


class _Storage(NamedTuple):
  """Numbers in a row, to which a tensor refers by their key."""

  kind: np.dtype
  key: str


class _Tensor(NamedTuple):
  """A tensor whose numbers are not read yet."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self, content: Callable[[_Storage], bytes]) -> np.ndarray:
    """Return the tensor as an array.

    Raises:
      ValueError: it refers to numbers that are not there.
    """
    flat = np.frombuffer(content(self.storage), self.storage.kind)
    steps = zip(self.shape, self.strides, strict=True)
    last = self.offset + sum((n - 1) * step for n, step in steps)
    if math.prod(self.shape) == 0:
      return np.zeros(self.shape, self.storage.kind)
    if min(self.offset, *self.strides, 0) < 0 or last >= len(flat):
      raise ValueError("a tensor is larger than its numbers")
    size = self.storage.kind.itemsize
    strides = [step * size for step in self.strides]
    view = np.lib.stride_tricks.as_strided(
      flat[self.offset :], self.shape, strides
    )
    return np.ascontiguousarray(view)


class _TensorsOnly(pickle.Unpickler):
  """Unpickles dicts of tensors and refuses everything else."""

  def find_class(self, module: str, name: str) -> Any:
    """Return what a pickle asks for, if it belongs to tensors."""
    if module == "torch" and name in _KINDS:
      return np.dtype(_KINDS[name])
    found = {
      ("collections", "OrderedDict"): collections.OrderedDict,
      ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
      ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    }.get((module, name))
    if found is None:
      raise DataError(
        f"the file asks for {module}.{name}, which may be code; only tensors "
        "are admitted: save the model's state_dict()"
      )
    return found

  def persistent_load(self, pid: Any) -> _Storage:
    """Return a reference to the numbers of a tensor."""
    _, kind, key, *_ = pid
    return _Storage(kind, str(key))


def _rebuild_tensor(
  storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any
) -> _Tensor:
  return _Tensor(storage, offset, tuple(shape), tuple(strides))


def read(path: pathlib.Path) -> dict[str, Any]:
  """Read a dict of arrays, in which dicts may lie.

  Raises:
    DataError: the file asks for more than tensors.
    Exception: it is damaged or of another format.
  """
  if zipfile.is_zipfile(path):
    return _read_archive(path)
  with path.open("rb") as file:
    return _read_older(file)


def _read_archive(path: pathlib.Path) -> dict[str, Any]:
  with zipfile.ZipFile(path) as archive:
    name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
    folder = name.removesuffix("data.pkl")
    order = folder + "byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
      raise ValueError("its numbers are big-endian")
    with archive.open(name) as file:
      tree = _TensorsOnly(file).load()
    return _fill(tree, lambda one: archive.read(f"{folder}data/{one.key}"))


def _read_older(file: IO[bytes]) -> dict[str, Any]:
  if _TensorsOnly(file).load() != _MAGIC:
    raise ValueError("no file of PyTorch")
  _TensorsOnly(file).load()  # the protocol's version
  if not _TensorsOnly(file).load()["little_endian"]:
    raise ValueError("its numbers are big-endian")
  tree = _TensorsOnly(file).load()
  keys = _TensorsOnly(file).load()
  kinds = {tensor.storage.key: tensor.storage.kind for tensor in _tensors(tree)}
  found = {}
  for key in keys:
    size = int.from_bytes(file.read(8), "little") * kinds[key].itemsize
    found[key] = file.read(size)
    if len(found[key]) != size:
      raise ValueError("it is cut")
  return _fill(tree, lambda one: found[one.key])


def _tensors(tree: Mapping[str, Any]) -> list[_Tensor]:
  found = []
  for value in tree.values():
    if isinstance(value, _Tensor):
      found.append(value)
    elif isinstance(value, Mapping):
      found += _tensors(value)
  return found


def _fill(
  tree: Mapping[str, Any], content: Callable[[_Storage], bytes]
) -> dict[str, Any]:
  """Return a tree with arrays in the place of tensors."""
  filled: dict[str, Any] = {}
  for name, value in tree.items():
    if isinstance(value, _Tensor):
      filled[name] = value.array(content)
    else:
      nested = isinstance(value, Mapping)
      filled[name] = _fill(value, content) if nested else value
  return filled
