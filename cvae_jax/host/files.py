"""Writing files so that nothing half-written looks whole."""

import contextlib
import json
import os
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
