"""How a command is called from where the user is, for messages."""

import shlex
from pathlib import Path


def format_command(name: str) -> str:
  """Return a command to type: python -m launch.train, or cvae-jax train.

  The first serves in a checkout alone, the second wherever it is installed.
  """
  here = Path("launch") / f"{name}.py"
  return f"python -m launch.{name}" if here.is_file() else f"cvae-jax {name}"


def quote(place: str | Path) -> str:
  """Return a path as a word of a command: one with blanks is quoted."""
  return shlex.quote(str(place))


def format_kind(name: str, kind: str) -> str:
  """Return the flag that gives a column a kind, as a shell reads it."""
  return f"--kind {quote(f'{name}={kind}')}"


def format_prepare(name: str) -> str:
  """Return the command that prepares digits, faces or photos."""
  script = Path("data") / f"prepare_{name}.py"
  if script.is_file():
    return f"python {script.as_posix()}"
  return f"cvae-jax prepare {name}"
