"""Prepare data: cvae-jax prepare images|faces|photos|digits|shapes …"""

import ast
import runpy
import sys
from pathlib import Path


def main(words: list[str]) -> int:
  """Run the script prepare_<first word>; return 1 if there is none."""
  here = Path(__file__).parents[1]
  scripts = {
    path.stem.removeprefix("prepare_"): path
    for folder in ("prepare", "data")  # installed; a checkout
    for path in sorted((here / folder).glob("prepare_*.py"))
  }
  name = words[0] if words else ""
  if name in ("--help", "-h", "help"):
    print("cvae-jax prepare WHAT …; with --help behind it, its options\n")
    for what, path in scripts.items():
      text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
      print(f"  {what:8} {text.partition(chr(10))[0]}")
    return 0
  if name not in scripts:
    print(
      f"error: prepare what? {name!r} is none of {', '.join(scripts)}",
      file=sys.stderr,
    )
    return 1
  # Its name stands in front of what argparse says.
  sys.argv = [f"cvae-jax prepare {name}", *words[1:]]
  runpy.run_path(str(scripts[name]), run_name="__main__")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
