"""Where an error arose in code of a user's own, outside the package."""

import os
import traceback
from pathlib import Path

from cvae_jax.host.paths import PACKAGE

_LIBRARIES = (
  "site-packages",
  "dist-packages",
  str(Path(os.__file__).parent),  # Python's own
)


def is_library(file: str) -> bool:
  """Tell whether a file of a traceback is a library's or Python's own."""
  return file.startswith("<") or any(name in file for name in _LIBRARIES)


def is_package(file: str) -> bool:
  """Tell whether a file of a traceback is one of this package."""
  return Path(file).resolve().is_relative_to(PACKAGE)


def place(error: BaseException, commands: Path) -> str:
  """Return "file:line: " of a user's own code that raised an error, or "".

  Args:
    error: caught, with its traceback.
    commands: the folder of the commands, which are not a user's.
  """
  frames = traceback.extract_tb(error.__traceback__)
  rest = [f for f in frames if not is_library(f.filename)]
  if not rest or is_package(rest[-1].filename):
    return ""
  file = Path(rest[-1].filename)
  if file.resolve().is_relative_to(commands):
    return ""
  near = (
    file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
  )
  return f"{near}:{rest[-1].lineno}: "
