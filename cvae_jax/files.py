"""Writing files so that nothing half-written looks whole."""

import os
from pathlib import Path


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
