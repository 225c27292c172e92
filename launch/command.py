"""What every command shares: tuning first, errors as one line."""

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import app, flags

from cvae_jax import settings
from cvae_jax.host import (
  compile_cache,
  console,
  cpu,
  interrupts,
  memory,
  own_code,
  paths,
  plugins,
)

PREEMPTED = 75  # EX_TEMPFAIL: run the same command again
INTERRUPTED = 130  # by Ctrl-C, as shells say it
_EXPECTED = (ValueError, FloatingPointError, OSError)  # they say what to do
# jax reads its settings from the environment when it is imported.
_JAX_FLAG = re.compile(r"for (?:JAX flag|environment) '?(jax_\w+)", re.I)
_TRUST = flags.DEFINE_bool(
  "trust", False, "Import modules outside the package that a run names."
)
_CACHE = flags.DEFINE_string(
  "compile_cache",
  "",
  "Folder of compiled programs, which a second launch reuses; by default in "
  "the user's cache folder; off: none.",
)
_DEBUG = flags.DEFINE_bool("debug", False, "Show an error's traceback.")


def start(name: str) -> None:
  """Apply the CPU settings when a module runs as a command.

  Call it before jax is imported, since it may restart the interpreter.
  """
  if name == "__main__":
    console.secure()
    interrupts.repeat_lost()
    cpu.tune(restart=cpu.is_command(sys.orig_argv))


def run(
  main: Callable[[list[str]], int | None],
  required: list[str],
  prepare: Callable[[list[str]], list[str]] | None = None,
  words: bool = False,
) -> None:
  """Parse the flags and run main(words); an error is one line and exit 1.

  Args:
    main: takes the arguments that are no flags; returns the exit status.
    required: flags that must be given.
    prepare: takes the words of the command before flags are parsed, and
      returns those to parse; it may define flags.
    words: whether the command reads words that are no flags. To others such a
      word is an error: `--set=class=3 ink=1` would leave out what it says.
  """
  console.secure()
  sys.modules["__main__"].__doc__ = main.__globals__["__doc__"]  # for --help

  def run_guarded(argv):
    if _TRUST.value:
      plugins.trust(plugins.EVERY)
    try:
      memory.check()
      cpu.check_flags()
      compile_cache.use(_CACHE.value)
      code = main(argv[1:])
      _flush()
      return code
    except KeyboardInterrupt:
      return _end_interrupted()
    except SystemExit:
      raise
    except BaseException as error:
      return _fail(error, _DEBUG.value)

  def parse(argv):
    return _parse(argv, required, prepare, words)

  try:
    app.run(run_guarded, flags_parser=parse)
  except KeyboardInterrupt:
    sys.exit(_end_interrupted())


def define_seed(about: str) -> flags.FlagHolder:
  """Define --seed; jax keeps 32 bits of it, so 2**32 would equal 0."""
  return flags.DEFINE_integer(
    "seed", 0, about, lower_bound=0, upper_bound=settings.SEEDS - 1
  )


def path(flag: flags.FlagHolder, default: str | Path | None = None) -> Path:
  """Return the path that a flag gives, `~` expanded, else the default.

  Raises:
    PathError: it is empty or names another machine.
  """
  given = default if flag.value is None else flag.value
  return paths.local(given, f"--{flag.name}")


def _flush() -> None:
  """Flush standard output; a reader that has gone is no error."""
  try:
    sys.stdout.flush()
  except (OSError, ValueError):
    console.abandon(sys.stdout)


def _end_interrupted() -> int:
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # on the way out
  console.say("interrupted", sys.stderr)
  return INTERRUPTED


def _fail(error: BaseException, debug: bool) -> int:
  """Print an error as a line, or its traceback; return the exit status."""
  if isinstance(error, BrokenPipeError) and error.filename is None:
    console.abandon(sys.stdout)  # `| head`: the reader has what it wanted
    return 1
  if debug:
    console.say("".join(traceback.format_exception(error)), sys.stderr)
  for line in explain(error):
    console.say(line, sys.stderr)
  return 1


def explain(error: BaseException) -> list[str]:
  """Say an error in a line, and its notes; jax's own notes are left out."""
  notes = [
    note
    for note in getattr(error, "__notes__", [])
    if "JAX has removed its internal frames" not in note
  ]
  text = own_code.place(error, Path(__file__).parent) + str(error)
  kind = type(error)
  if isinstance(error, OSError):
    text += _remedy(error)
  if match := _JAX_FLAG.search(text):
    name = match[1].upper()
    text += f"; unset {name} in the environment, or set it to one that jax has"
  if isinstance(error, _EXPECTED) and not isinstance(error, UnicodeError):
    return [f"error: {text}", *notes]
  if isinstance(error, MemoryError):
    text = f"{text} out of memory: give smaller sizes or fewer at once".strip()
  if backend := _backend(error):
    return [f"error: {backend}"]
  gist = " ".join(text.split())[:500]
  return [
    f"error: unexpected {kind.__name__}: {gist} (run again with --debug for "
    "the traceback)",
    *notes,
  ]


def _remedy(error: OSError) -> str:
  """Say what to do where a disk or a file's rights do not allow a thing."""
  if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
    return "; make room on the disk, then run the same command again"
  if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
    return "; give a place that you may write to, or a file you may read"
  if error.errno == errno.ENOENT:
    return "; check the path"
  if error.errno == errno.EMFILE:
    return "; raise the limit of open files (ulimit -n)"
  if error.errno == errno.EISDIR:
    return "; it must be a file: move the folder away"
  if error.errno in (errno.EEXIST, errno.ENOTDIR):
    return "; it is a file where a folder is to be: give another name"
  if error.errno == errno.ENOTEMPTY:
    return "; another process writes there: wait for it, then run this again"
  if error.errno == errno.ENAMETOOLONG:
    return "; give a shorter name"
  if error.errno == errno.EIO:
    return "; the disk fails: use another one"
  return ""


def _backend(error: BaseException) -> str | None:
  """Say that jax has not the back end that JAX_PLATFORMS asks for."""
  asked = os.environ.get("JAX_PLATFORMS")
  frames = traceback.extract_tb(error.__traceback__)
  if not asked or not any("xla_bridge" in f.filename for f in frames):
    return None
  return (
    f"JAX_PLATFORMS={asked}: jax finds no such back end here; unset it, or "
    "install jax for that device, as in pip install 'jax[cuda12]'"
  )


def _parse(argv: list[str], required, prepare, words: bool) -> list[str]:
  """Parse the flags; what is wrong with them is one line and exit 1.

  absl would print the traceback of a config file's own error.
  """
  debug = "--debug" in argv
  try:
    argv = prepare(argv) if prepare else argv
    _show_shared_flags()
    found = flags.FLAGS(argv)
    if found[1:] and not words:
      raise flags.Error(
        f"found {found[1]!r}, which is no flag, and this command reads no "
        "words; join the values of a flag by commas, quote one with blanks"
      )
    if absent := [n for n in required if flags.FLAGS[n].value is None]:
      given = " ".join(f"--{name}=…" for name in absent)
      raise flags.Error(f"give {given}, which the command needs")
    return found
  except (flags.Error, AttributeError, TypeError) as error:
    if debug:
      traceback.print_exc()
    said = f"error: {_describe(error)} (--help lists the flags)"
    console.say(said, sys.stderr)
    sys.exit(1)
  except Exception as error:
    sys.exit(_fail(error, debug))


def _show_shared_flags() -> None:
  """Let --help list the flags that a command shares with others.

  absl takes flags that another module defines for those of a library.
  """
  for module, found in flags.FLAGS.flags_by_module_dict().items():
    for flag in found if module.startswith(f"{__package__}.") else ():
      flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _describe(error: Exception) -> str:
  """Return an error's text, or the last line of a traceback within it."""
  text = str(error).replace("\\n", " ").strip()
  if "Traceback" in text:
    text = text.splitlines()[-1].strip()
  return re.sub(r"^[\w.]+Error: ", "", " ".join(text.split()))
