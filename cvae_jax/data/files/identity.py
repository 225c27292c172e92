"""What says which data these are: digests of every column, in row order."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvae_jax.data.files import prepared


def of(
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
    ours, theirs = old.get(split), new.get(split)
    if ours is None or theirs is None:
      if ours != theirs:
        found.append(f"{split}: {'gone' if theirs is None else 'new'}")
      continue
    for name in sorted(ours.keys() | theirs.keys()):
      a, b = ours.get(name), theirs.get(name)
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
  if isinstance(entries, np.memmap) and prepared.holds(entries.filename):
    # Of a part of a file: the whole file's digest, and where the part lies.
    file = prepared.digest(entries.filename, whole)
    start = _address(entries) - _address(_root(entries))
    said = f"{file} from byte {start}, strides {entries.strides}"
    found["sha256"] = hashlib.sha256(said.encode()).hexdigest()
    return found
  digest = hashlib.sha256()
  for part in np.array_split(entries, max(1, entries.nbytes >> 24)):
    digest.update(part.tobytes())
  found["sha256"] = digest.hexdigest()
  return found


def _root(array: np.ndarray) -> np.ndarray:
  while isinstance(array.base, np.ndarray):
    array = array.base
  return array


def _address(array: np.ndarray) -> int:
  return array.__array_interface__["data"][0]
