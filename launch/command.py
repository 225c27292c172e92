"""What every command shares: tuning first, errors as one line."""

import re
import sys
from collections.abc import Callable

from absl import app, flags

from cvae_jax import config, cpu

PREEMPTED = 75  # EX_TEMPFAIL: run the same command again


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

  app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  """Parses the flags; what is wrong with them is one line and exit 1.

  absl would print the traceback of a config file's own error.
  """
  try:
    return flags.FLAGS([_page(word) for word in argv])
  except (flags.Error, AttributeError, TypeError, ValueError) as error:
    print(f"error: {_gist(error)} (--help lists the flags)", file=sys.stderr)
    sys.exit(1)


def _page(word: str) -> str:
  """Put the file of a page in place of its short name in --config=."""
  flag, equals, value = word.partition("=")
  if flag not in ("--config", "-config") or not value:
    return word
  name, colon, variants = value.partition(":")
  return f"{flag}{equals}{config.page(name)}{colon}{variants}"


def _gist(error: Exception) -> str:
  """Gives an error's text, or the last line of a traceback within it."""
  text = str(error).replace("\\n", " ").strip()
  if "Traceback" in text:
    text = text.splitlines()[-1].strip()
  return re.sub(r"^[\w.]+Error: ", "", " ".join(text.split()))
