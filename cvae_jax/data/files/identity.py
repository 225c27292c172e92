"""What says which data these are: digests of every column, in row order."""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvae_jax.data.files import prepared, prepared_digest

_LARGE = 1 << 29  # bytes in memory from which SHA-256 takes too long a start
_WORDS = 1 << 17  # of 8 bytes, that are summed up together


def compute(
  splits: Mapping[str, Mapping[str, Any] | None], whole: bool = False
) -> dict[str, Any]:
  """Return split → column → shape, dtype and SHA-256; JSON types.

  Equal bytes in equal order give an equal mapping, wherever the files lie.

  Args:
    splits: columns by the name of their split; None where there is none.
    whole: read all of a prepared set's images, not only sampled blocks.

  Raises:
    DataError: if a prepared set's images are not those that were prepared.
  """
  known: dict[int, dict[str, Any]] = {}  # one array may be two columns
  found = {}
  for split, columns in splits.items():
    found[split] = None
    if columns is not None:
      found[split] = {}
      for name, column in columns.items():
        if id(column) not in known:
          known[id(column)] = _column(column, whole)
        found[split][name] = known[id(column)]
  return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """List the columns that differ, each with what differs, in a few words."""
  found = []
  for split in sorted(old.keys() | new.keys()):
    ours = old.get(split)
    theirs = new.get(split)
    if ours is None or theirs is None:
      if ours != theirs:
        found.append(f"{split}: {'gone' if theirs is None else 'new'}")
      continue
    for name in sorted(ours.keys() | theirs.keys()):
      a = ours.get(name)
      b = theirs.get(name)
      if a is None or b is None:
        found.append(f"{split} {name}: {'gone' if b is None else 'new'}")
        continue
      for key, said in (("shape", "shape"), ("dtype", "type")):
        if a[key] != b[key]:
          found.append(f"{split} {name}: {said} {a[key]} → {b[key]}")
          break
      else:
        if a != b:
          found.append(f"{split} {name}: other values or another order")
  return found


def _column(column: Any, whole: bool) -> dict[str, Any]:
  entries = getattr(column, "entries", column)  # of a Repeated
  found = {
    "shape": list(column.shape),
    "dtype": str(entries.dtype),
    "sha256": "",
  }
  if isinstance(entries, np.memmap) and prepared.is_prepared(entries.filename):
    # Of a part of a file: the whole file's digest, and where the part lies.
    file = prepared_digest.digest(entries.filename, whole)
    start = _address(entries) - _address(_root(entries))
    said = f"{file} from byte {start}, strides {entries.strides}"
    found["sha256"] = hashlib.sha256(said.encode()).hexdigest()
    return found
  large = entries.nbytes >= _LARGE
  digest = hashlib.sha256()
  for part in np.array_split(entries, max(1, entries.nbytes >> 24)):
    values = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    digest.update(_sums(values) if large else values)
  found["sha256"] = digest.hexdigest()
  return found


def _sums(values: np.ndarray) -> np.ndarray:
  """Return two weighted sums of each MiB of bytes, modulo 2**64.

  This is seven times as fast as SHA-256. The weights are odd and look random.
  So every change of a single word is seen, and any other change with a
  probability of about 1 − 2**-32. The second sum is of the words' upper halves,
  since changes of these may cancel in the first sum.
  """
  weights = _weights()
  values = np.pad(values, (0, -len(values) % weights.nbytes))
  rows = values.view(np.uint64).reshape(-1, len(weights))
  sums = [(row @ weights, (row >> np.uint64(32)) @ weights) for row in rows]
  return np.array(sums, np.uint64)


@functools.cache
def _weights() -> np.ndarray:
  """Return odd weights [_WORDS] by the formula of splitmix64.

  A run's data.json depends on them, and NumPy's generators may change.
  """
  x = np.arange(1, _WORDS + 1, dtype=np.uint64)
  x *= np.uint64(0x9E3779B97F4A7C15)
  for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
    x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
  return (x ^ (x >> np.uint64(31))) | np.uint64(1)


def _root(array: np.ndarray) -> np.ndarray:
  while isinstance(array.base, np.ndarray):
    array = array.base
  return array


def _address(array: np.ndarray) -> int:
  return array.__array_interface__["data"][0]
