"""What a prepared set was made of, so that changed images are noticed.

A set keeps two digests of its source. That of the files' names, sizes and times
is quick to compare. Where it differs, as after a copy, the images are read, and
the digest of their contents tells.
"""

import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import finding, idx, prepared, streams
from cvae_jax.data.files.finding import Images
from cvae_jax.host.console import say
from cvae_jax.host.files import parse_json

KEY = "made_of"  # in prepared.json


def watch(
  path: pathlib.Path, images: Images, files: Sequence[str]
) -> tuple[Images, Callable[[], dict[str, dict[str, str]]]]:
  """Return images, and what tells their source once they have been read.

  Args:
    path: of the source.
    images: of the source.
    files: the set's rows, each of which is to be read.
  """
  found = {}
  stamp = _make_stamp(path)  # before: a change while it is read shows later

  def read(name: str) -> Any:
    found[name] = b""  # of what cannot be read
    content = images.read(name)
    found[name] = _digest(content)
    return content

  def describe() -> dict[str, dict[str, str]]:
    whole = hashlib.sha256()
    for name in files:
      whole.update(found[images.where[name]].ljust(32, b"\0"))
    return {KEY: {"stamp": stamp, "sha256": whole.hexdigest()}}

  return images._replace(read=read), describe


def check(
  folder: pathlib.Path,
  path: pathlib.Path,
  images: Images,
  files: Sequence[str],
) -> None:
  """Check that a set was made of these images.

  Of a set that an older version made it is not known: a note is printed if a
  file is newer than the set.

  Args:
    folder: the set's.
    path: of the source.
    images: of the source.
    files: the set's rows.

  Raises:
    DataError: if images have changed.
  """
  kept = parse_json((folder / prepared.MARK).read_text()).get(KEY)
  if kept is None:
    made = (folder / prepared.IMAGES).stat().st_mtime_ns
    if any(file.stat().st_mtime_ns > made for file in _list_files(path)):
      say(
        f"note: {path} has files that are newer than {folder}, which an older "
        "version prepared without a digest of its images; if they have "
        "changed, prepare it again with --force"
      )
    return
  if _make_stamp(path) == kept["stamp"]:
    return
  say(f"files of {path} have other times than before: comparing the images")
  watched, describe = watch(path, images, files)
  for name in files:
    try:
      watched.read(images.where[name])
    except streams.UNREADABLE:
      continue  # as it may have been before
  if describe()[KEY]["sha256"] != kept["sha256"]:
    raise DataError(
      f"{folder} is prepared from other images: those in {path} have changed "
      "since; choose another --out, or replace it with --force"
    )


def _digest(content: Any) -> bytes:
  if isinstance(content, np.ndarray):
    shape = f"{content.dtype} {content.shape} ".encode()
    content = shape + content.tobytes()
  return hashlib.sha256(content).digest()


def _make_stamp(path: pathlib.Path) -> str:
  """Return the digest of names, sizes and times of a source's files."""
  whole = hashlib.sha256()
  for file in _list_files(path):
    about = file.stat()
    said = f"{file.name}\n{about.st_size}\n{about.st_mtime_ns}\n"
    if path.is_dir():
      said = f"{file.relative_to(path)}\n{said}"
    whole.update(said.encode(errors="surrogateescape"))
  return whole.hexdigest()


def _list_files(path: pathlib.Path) -> list[pathlib.Path]:
  if path.is_dir():
    return sorted(finding.walk(path))
  return idx.list_beside(path) or [path]
