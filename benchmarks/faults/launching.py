"""Starting commands: within this process, or as one of their own."""

import contextlib
import gc
import importlib.util
import io
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import flags

from benchmarks.faults.case import Outcome

ROOT = Path(__file__).parents[2]
# By which all time limits are multiplied, for a machine that is shared.
PATIENCE = int(os.environ.get("FAULTS_PATIENCE", "1"))


def within(module: str, *words: object) -> Outcome:
  """Run `python -m module words` in this process, which has jax already."""
  _forget_flags()
  old = sys.argv
  sys.argv = [module, *map(str, words)]
  held = sys.modules.pop(module, None)  # runpy warns of what was imported
  try:
    return call(lambda: runpy.run_module(module, run_name="__main__"))
  finally:
    sys.argv = old
    if held is not None:
      sys.modules[module] = held
    _forget_flags()


def script(name: str, *words: object) -> Outcome:
  """Run `python data/name.py words` in this process."""
  spec = importlib.util.spec_from_file_location(name, ROOT / f"data/{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return call(lambda: sys.exit(module.main([*map(str, words)])))


def call(function: Callable) -> Outcome:
  """Call a function; its output, its value or its error are the outcome.

  An error of another kind than those that commands turn into a line, and than
  the package's own, counts as a traceback, which a command would print.
  """
  code = 0
  value = None
  shown = io.StringIO()
  with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
    try:
      value = function()
    except SystemExit as stop:
      code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except (ValueError, FloatingPointError, OSError) as error:
      code = 1
      print("error:", error, *getattr(error, "__notes__", []), sep=" ")
    except Exception:
      code = 1
      traceback.print_exc()
    gc.collect()  # what orbax prints of a failure comes when it is collected
  return Outcome(code, shown.getvalue(), value)


def start(*words: object, env: dict | None = None, **popen) -> subprocess.Popen:
  """Start `python -m words` as a process of its own."""
  options = {
    "cwd": ROOT,
    "env": os.environ | (env or {}),
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "stdin": subprocess.DEVNULL,
    # Of a command that was interrupted within this process, it is ignored.
    "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
  } | popen
  order = [sys.executable, "-m", *map(str, words)]
  return subprocess.Popen(order, **options)


def finish(process: subprocess.Popen, limit: float = 90) -> Outcome:
  """Wait for a process; kill it past the limit, which is a hang."""
  hung = False
  try:
    shown, _ = process.communicate(timeout=limit * PATIENCE)
  except subprocess.TimeoutExpired:
    hung = True
    process.kill()
    shown, _ = process.communicate()
  text = (shown or b"").decode(errors="replace")
  return Outcome(process.returncode, text, hung=hung)


def shell(command: str, env: dict | None = None, limit: float = 90) -> Outcome:
  """Run a line of bash in the project's folder."""
  process = subprocess.Popen(
    ["bash", "-c", command],
    cwd=ROOT,
    env=os.environ | {"PYTHON": sys.executable} | (env or {}),
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    stdin=subprocess.DEVNULL,
  )
  return finish(process, limit)


def _forget_flags() -> None:
  """Remove the flags of the last command; the next may define them anew."""
  for name in list(flags.FLAGS):
    if _of_commands(name):
      delattr(flags.FLAGS, name)
  flags.FLAGS.unparse_flags()


def _of_commands(name: str) -> bool:
  module = flags.FLAGS.find_module_defining_flag(name) or ""
  if name in (
    "compile_cache",
    "debug",
    "trust",
  ):  # of launch.command, imported once
    return False
  return module.startswith("launch.") or name.startswith("config")
