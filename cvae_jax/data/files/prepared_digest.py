"""The digest of a prepared set: whole, or by samples at each start."""

import hashlib
import json
import pathlib
from typing import Any

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.host.files import parse_json, write_atomically

MARK = "prepared.json"
STAMP = ".images.json"  # what is known of an images.npy since its mark
_BLOCKS = 64  # that each start reads of an images.npy
_BLOCK = 1 << 16  # bytes


def digest(path: str | pathlib.Path, whole: bool = False) -> str:
  """Return the SHA-256 of the pixels of an images.npy.

  It is computed once. It is computed again only if the size, the time or the
  sampled blocks of the file have changed.

  Args:
    path: the images.npy of a prepared set.
    whole: compute it again in any case.

  Raises:
    DataError: if prepared.json has another digest.
  """
  path = pathlib.Path(path)
  info = parse_json((path.parent / MARK).read_text())
  made = info.get("images")
  now = stamp(path)
  if made is not None and not (isinstance(made, dict) and "sha256" in made):
    raise DataError(
      f"{path.parent / MARK}: damaged (images is {made!r:.60}); prepare the set"
      " again with --force"
    )
  for known in (made, _read_stamp(path.parent / STAMP)):
    if not whole and known and {**now, "sha256": known["sha256"]} == known:
      return known["sha256"]
  found = _sha256(np.load(path, mmap_mode="r"))
  if made and made["sha256"] != found:
    raise DataError(
      f"{path} is not what was prepared (its SHA-256 differs); bring the old"
      " file back, or prepare it again with --force"
    )
  try:
    text = json.dumps(now | {"sha256": found})
    write_atomically(path.parent / STAMP, text + "\n")
  except OSError:  # a read-only folder: it is made again at the next start
    pass
  return found


def _read_stamp(path: pathlib.Path) -> dict[str, Any] | None:
  try:
    found = parse_json(path.read_text())
  except (OSError, ValueError):
    return None
  return found if isinstance(found, dict) and "sha256" in found else None


def stamp(path: pathlib.Path) -> dict[str, Any]:
  """Return a file's size and time, and the digest of blocks all over it."""
  about = path.stat()
  blocks = hashlib.sha256()
  with path.open("rb") as file:
    for at in np.linspace(0, max(0, about.st_size - _BLOCK), _BLOCKS):
      file.seek(int(at))
      blocks.update(file.read(_BLOCK))
  return {
    "bytes": about.st_size,
    "mtime_ns": about.st_mtime_ns,
    "blocks": blocks.hexdigest(),
  }


def _sha256(images: np.ndarray) -> str:
  whole = hashlib.sha256()
  for part in np.array_split(images, max(1, images.nbytes >> 24)):
    whole.update(part.tobytes())
  return whole.hexdigest()
