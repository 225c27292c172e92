"""Writing files so that nothing half-written looks whole."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: str | bytes) -> None:
  """Writes beside `path` and renames, so that it is old or new, never torn."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  if isinstance(content, str):
    content = content.encode()
  with temporary.open("wb") as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)


class Locked(OSError):
  """Says that another process writes a folder."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
  """Hold a folder's `.lock` while a block runs; it dies with its process.

  Raises:
    Locked: if another process holds it.
  """
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / ".lock").open("a") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise Locked(
        f"another process is writing to {folder}; wait for it, or choose"
        " another folder"
      ) from error
    yield


def measured_once(
  path: Path, protocol: Mapping[str, Any], measure: Callable[[], Mapping]
) -> dict[str, Any]:
  """Gives the measurements that a JSON file holds of the same protocol.

  Else measures, and writes them there with their protocol.
  """
  known = json.loads(path.read_text()) if path.exists() else {}
  if known.get("protocol") != protocol:
    known = {"protocol": protocol, **measure()}
    write_atomically(path, json.dumps(known, indent=2) + "\n")
  return known
