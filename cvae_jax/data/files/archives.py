"""Files within one file: tars of any compression, and spools of our own.

Both are read by position, from any thread, and nothing is written under the
name that an archive gives.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import pathlib
import posixpath
import shutil
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable
from typing import IO

from cvae_jax.data import DataError

_OPENERS = {
  b"\x1f\x8b": gzip.open,
  b"BZh": bz2.open,
  b"\xfd7zXZ": lzma.open,
}
_END = bytes(tarfile.BLOCKSIZE)  # what follows the last file
_DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_tar(path: pathlib.Path) -> bool:
  """Tell whether a file is a tar, compressed or not."""
  try:
    return path.is_file() and tarfile.is_tarfile(path)
  except _DAMAGED:
    return False


def open_tar(
  path: pathlib.Path,
) -> tuple[dict[str, int], Callable[[str], bytes]]:
  """List a tar's files and return (name → size, name → content).

  A compressed one is decompressed into a temporary file first, since its
  files are not read in order.

  Raises:
    DataError: if it is damaged, or holds a name twice.
  """
  with contextlib.ExitStack() as opened:
    try:
      file = opened.enter_context(open_plain(path))
      with tarfile.open(fileobj=file, mode="r:") as archive:
        members = [member for member in archive if member.isfile()]
        links = [member for member in archive if _is_link(member)]
      file.seek(archive.offset)
      # Where a header is damaged, tarfile stops as it does at the end.
      if file.read(len(_END)) != _END:
        after = f" after {members[-1].name}" if members else ""
        raise tarfile.ReadError(f"its end is not there{after}")
    except _DAMAGED as error:
      raise DataError(f"{path}: cut or damaged tar file: {error}") from error
    opened.pop_all()  # the reader has it
  places = {}
  for member in members:
    name = _plain_name(member.name)
    if name in places:
      raise DataError(
        f"{path}: {name} is in the tar more than once; write it again with"
        " each name once"
      )
    places[name] = (member.offset_data, member.size)
  for link in links:  # tar keeps a file's second name so
    if (target := _target(link)) in places:
      places.setdefault(_plain_name(link.name), places[target])
    else:
      name = _plain_name(link.name)
      print(f"  left out: {name}: a link to {target}, which is no file")
  sizes = {name: size for name, (_, size) in places.items()}
  return sizes, _reader(file, places)


def _plain_name(name: str) -> str:
  return name.removeprefix("./")


def _is_link(member: tarfile.TarInfo) -> bool:
  return member.islnk() or member.issym()


def _target(link: tarfile.TarInfo) -> str:
  """Return the name of the file that a link is to."""
  if link.islnk():
    return _plain_name(link.linkname)
  here = posixpath.dirname(_plain_name(link.name))
  return posixpath.normpath(posixpath.join(here, link.linkname))


def spool(
  entries: Iterable[tuple[str, bytes]],
) -> tuple[dict[str, int], Callable[[str], bytes]]:
  """Keep contents in a temporary file: (name → size, name → content)."""
  file = tempfile.TemporaryFile()  # noqa: SIM115
  places = {}
  at = 0
  for name, content in entries:
    file.write(content)
    places[name] = (at, len(content))
    at += len(content)
  file.flush()
  sizes = {name: size for name, (_, size) in places.items()}
  return sizes, _reader(file, places)


def _reader(
  file: IO[bytes], places: dict[str, tuple[int, int]]
) -> Callable[[str], bytes]:
  """Return name → content; the file stays open as long as the function."""
  number = os.dup(file.fileno())
  file.close()

  def read(name: str) -> bytes:
    start, size = places[name]
    found = os.pread(number, size, start)
    if len(found) < size:
      raise OSError(f"cut: {len(found):,} of {size:,} bytes are there")
    return found

  weakref.finalize(read, os.close, number)
  return read


def open_plain(path: pathlib.Path) -> IO[bytes]:
  """Open a file; if it is compressed, a decompressed copy of it."""
  with path.open("rb") as file:
    head = file.read(6)
  for magic, opener in _OPENERS.items():
    if head.startswith(magic):
      copy = tempfile.TemporaryFile()  # noqa: SIM115
      with opener(path, "rb") as compressed:
        shutil.copyfileobj(compressed, copy, 1 << 20)
      copy.seek(0)
      return copy
  return path.open("rb")
