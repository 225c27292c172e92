"""What every command shares: tuning first, errors as one line."""

import sys
from collections.abc import Callable

from absl import app, flags

from cvae_jax import cpu


def start(name: str) -> None:
  """Applies the CPU settings when a module runs as a command.

  It comes before jax is imported: it may start the interpreter anew.
  """
  if name == "__main__":
    cpu.tune()


def run(main: Callable[[list[str]], int | None], required: list[str]) -> None:
  """Parses the flags and runs main(words); a known error is exit 1.

  Words are the arguments that are no flags.
  """
  flags.mark_flags_as_required(required)

  def guarded(argv):
    try:
      return main(argv[1:])
    except (ValueError, FloatingPointError, OSError) as error:
      notes = getattr(error, "__notes__", [])
      print(f"error: {error}", *notes, sep="\n", file=sys.stderr)
      return 1

  app.run(guarded)
