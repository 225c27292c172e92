"""Run a command by its name: cvae-jax COMMAND …"""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from cvae_jax import __version__

_NO_COMMANDS = ("__init__", "command", "main", "run_flags")


def main() -> int:
  """Run the command that the first word names; return 1 if there is none."""
  if not sys.flags.safe_path:  # as python -m does: modules of one's own
    sys.path.insert(0, str(Path.cwd()))
  name = sys.argv[1] if len(sys.argv) > 1 else "--help"
  known = commands()
  if name in ("--help", "-h", "help"):
    print("cvae-jax COMMAND …; cvae-jax COMMAND --help lists its flags\n")
    for command, line in known.items():
      print(f"  {command:12} {line}")
  elif name == "--version":
    print(f"cvae-jax {__version__}")
  elif name in known:
    words = sys.argv[2:]
    sys.argv = [f"cvae-jax {name}", *words]
    runpy.run_module(f"{__package__}.{name}", run_name="__main__")
  else:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    print(
      f"error: no command {name!r}{guess} known: {', '.join(known)}",
      file=sys.stderr,
    )
    return 1
  return 0


def commands() -> dict[str, str]:
  """List the commands: {name: first line of the module's docstring}."""
  found = {}
  for path in sorted(Path(__file__).parent.glob("*.py")):
    if path.stem not in _NO_COMMANDS:
      text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
      found[path.stem] = (text or "").partition("\n")[0]
  return found


if __name__ == "__main__":
  sys.exit(main())
