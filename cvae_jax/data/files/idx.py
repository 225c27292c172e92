"""idx files of any size and number of classes: MNIST's, EMNIST's and others."""

import math
import pathlib
import re

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import archives, arrays, splits
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.host.wording import shorten

_NAME = re.compile(r"(?P<stem>.*?)(?P<what>images|labels)[-.]idx\d.*", re.I)
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def find(path: pathlib.Path, transpose: bool, white: float) -> Pictures | None:
  """Open the idx files of a folder, or those beside one of them.

  Raises:
    DataError: if a file is damaged or lacks its partner, or a folder holds
      several sets.
  """
  folder = path if path.is_dir() else path.parent
  if path.is_file() and not _NAME.fullmatch(path.name):
    return None
  found = {}
  for file in sorted(folder.iterdir()):
    if file.is_file() and (match := _NAME.fullmatch(file.name)):
      found.setdefault(match["stem"], {})[match["what"].lower()] = file
  if not found:
    return None
  names = {_set_name(stem) for stem in found}
  if path.is_file():
    names = {_set_name(_NAME.fullmatch(path.name)["stem"])}
  if len(names) > 1:
    raise DataError(
      f"{path} holds several sets: {shorten(sorted(names))}; give --images the "
      "path of one's images file"
    )
  (name,) = names
  parts = []
  for stem, files in found.items():
    if _set_name(stem) == name:
      parts.append(_part(stem, files))
  return arrays.join(parts, path, transpose, white)


def list_beside(path: pathlib.Path) -> list[pathlib.Path]:
  """List the idx files of the folder of an idx file; of another file none."""
  if not _NAME.fullmatch(path.name):
    return []
  return sorted(f for f in path.parent.iterdir() if _NAME.fullmatch(f.name))


def _set_name(stem: str) -> str:
  """Return what a stem says beside the split: emnist-balanced."""
  words = [
    w for w in re.split(r"[-_.]+", stem) if w and not splits.canonical(w)
  ]
  return "-".join(words)


def _part(stem: str, files: dict[str, pathlib.Path]) -> arrays.Part:
  if "images" not in files:
    raise DataError(f"{files['labels']}: found without its images file")
  images = read(files["images"])
  words = re.split(r"[-_.]+", stem)
  split = next(filter(None, map(splits.canonical, words)), "")
  if "labels" not in files:
    return arrays.Part(split, images, {})
  labels = read(files["labels"])
  if labels.ndim == 2:
    labels = labels[:, 0]  # QMNIST's: the class, then who wrote it
  if labels.shape != images.shape[:1]:
    raise DataError(
      f"{files['images']} holds {len(images)} images but {files['labels']} "
      f"{labels.shape} labels"
    )
  return arrays.Part(split, images, {"class": labels})


def read(path: pathlib.Path) -> np.ndarray:
  """Read an idx file, gzipped or not, memory-mapped.

  Raises:
    DataError: if it is no idx file, or is cut.
  """
  with archives.open_plain(path) as file:
    head = file.read(4)
    kind = _TYPES.get(head[2] if len(head) == 4 else 0)
    if head[:2] != b"\0\0" or kind is None or not 0 < head[3] <= 5:
      raise DataError(
        f"{path}: not an idx file: it begins {head.hex()}, expected 0000, a "
        "type and a number of axes"
      )
    sizes = np.frombuffer(file.read(4 * head[3]).ljust(20, b"\0"), ">u4")
    sizes = tuple(map(int, sizes[: head[3]]))
    start = 4 + 4 * head[3]
    expected = start + math.prod(sizes) * np.dtype(kind).itemsize
    there = file.seek(0, 2)
    if there != expected:
      raise DataError(
        f"{path}: {expected} bytes expected, {there} found (uncompressed)"
      )
    return np.memmap(file, kind, "r", start, sizes)
