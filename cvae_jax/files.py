"""Writing files so that nothing half-written looks whole."""

import json
import os
from collections.abc import Callable, Mapping
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
