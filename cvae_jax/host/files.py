"""Writing files so that nothing half-written looks whole."""

import contextlib
import hashlib
import json
import os
import shutil
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: str | bytes) -> None:
  """Write beside `path` and rename, so that it is old or new, never torn.

  Raises:
    OSError: it cannot be written; it is named.
  """
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  if isinstance(content, str):
    content = content.encode()
  try:
    with temporary.open("wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    temporary.replace(path)
  except OSError as error:
    with contextlib.suppress(OSError):
      temporary.unlink()
    if error.errno is None:
      raise
    # A full disk's error has no name, and a temporary one helps nobody.
    raise OSError(error.errno, error.strerror, os.fspath(path)) from error


# What np.load raises of a file that is cut, changed or none of its own. A zip
# has kinds of its own; a header is read as Python's source.
UNREADABLE = (
  *(OSError, ValueError, EOFError, KeyError, TypeError, OverflowError),
  *(zipfile.BadZipFile, zlib.error, RuntimeError),
  *(SyntaxError, tokenize.TokenError, MemoryError),
)


class NoRoom(OSError):
  """Says how much room a disk lacks, and what to do."""


def check_room(folder: Path, size: float, remedy: str) -> None:
  """Check that a disk has room before long work fills it.

  Args:
    folder: where the files go; it need not be there yet.
    size: bytes that will be written.
    remedy: what helps beside making room.

  Raises:
    NoRoom: there is less.
  """
  there = Path(folder).absolute()
  while not there.exists():
    there = there.parent
  free = shutil.disk_usage(there).free
  if size > free:
    raise NoRoom(
      f"{folder}: needs {_amount(size)} of disk, and {_amount(free)} are free; "
      f"make room, or {remedy}"
    )


def _amount(size: float) -> str:
  for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
    if size >= unit:
      return f"{size / unit:,.1f} {name}"
  return f"{size:.0f} bytes"


class DamagedFile(ValueError):
  """Says which file cannot be read and what can be done."""


def parse_json(content: str | bytes) -> Any:
  """Return what a text in JSON says.

  Raises:
    ValueError: it is no JSON, or groups within groups without end.
  """
  try:
    return json.loads(content)
  except RecursionError:
    raise ValueError("its groups are nested too deep") from None


def hash_json(value: Any) -> str:
  """Return the SHA-256 of a value of JSON types, whatever its keys' order."""
  text = json.dumps(value, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def read_json(path: Path, kind: type, remedy: str) -> Any:
  """Read a JSON file whose content is a dict or a list.

  Args:
    path: the file.
    kind: dict or list.
    remedy: what a person can do where the file is damaged.

  Raises:
    DamagedFile: it is not there, no JSON, or of another kind.
    OSError: it cannot be opened.
  """
  try:
    found = parse_json(Path(path).read_bytes())
  except FileNotFoundError:
    raise DamagedFile(f"{path} is not there; {remedy}") from None
  except ValueError as error:
    raise DamagedFile(f"{path} is damaged ({error}); {remedy}") from None
  if not isinstance(found, kind):
    names = {dict: "a mapping", list: "a list"}
    raise DamagedFile(
      f"{path} is damaged: found {type(found).__name__}, expected "
      f"{names[kind]}; {remedy}"
    )
  return found
