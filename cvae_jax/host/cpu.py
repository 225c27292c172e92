"""Settings for CPU training; a no-op where they do not apply.

XLA's flags (`set_flags`), and the allocator: XLA frees and takes its big
buffers every step. Under glibc's defaults they go back to the kernel each time
and first-touch page faults take a large share of the step. Best first:

1. mimalloc preloaded (`pip install cvae_jax[fast]`), keeping freed pages for
   a few steps. A preload must be set before the interpreter starts, so `tune`
   starts it anew.
2. glibc told to keep freed memory (mallopt).

CVAE_JAX_TUNE=0 switches all of it off. The figures are in
docs/performance_report.md.
"""

import contextlib
import ctypes
import importlib.util
import mmap
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_OFF = "CVAE_JAX_TUNE"
_RESTARTED = "CVAE_JAX_RESTARTED"
COMMAND = "cvae-jax"  # as installed
MIMALLOC = {
  # Milliseconds that freed pages are kept: longer than a step, which takes
  # them again, but not for ever, or what each checkpoint leaves adds up.
  "MIMALLOC_PURGE_DELAY": "3000",
  "MIMALLOC_ALLOW_LARGE_OS_PAGES": "1",
}
MULTI_OUTPUT_FUSION = "xla_cpu_use_multi_output_fusion"
YNNPACK = "xla_cpu_experimental_ynn_fusion_type"  # what it computes
# By XLA's name of each: an XLA that does not know a flag ends the process.
FLAGS = {
  # Loops over the same arrays become one loop that writes several.
  MULTI_OUTPUT_FUSION: f"--xla_backend_extra_options={MULTI_OUTPUT_FUSION}",
  # Most steps are faster with convolutions and products by Eigen than by
  # YNNPACK, XLA's choice. loop/products.py has a run's own choice.
  YNNPACK: f"--{YNNPACK}=-individual_convolution,-individual_dot",
}


_FLAG = re.compile(r"(?:^|\s)--?(xla\w+)")  # as XLA_FLAGS has them


_tuned = threading.Event()  # set once `tune` was called in this process


class UnknownFlag(ValueError):
  """Says which flag XLA does not know, and what to do."""


def tune(restart: bool = False) -> None:
  """Set XLA's flags and the best allocator; call it before jax starts.

  Args:
    restart: whether the interpreter may be started anew, with the same words:
      mimalloc needs it. Only for a process that is nothing but this command
      (`is_command`): a notebook's kernel would lose all it holds. Without it
      glibc is told to keep freed memory instead.
  """
  if os.environ.get(_OFF) == "0" or not sys.platform.startswith("linux"):
    return
  _tuned.set()
  set_flags()
  library = mimalloc()
  if library and "malloc" in os.environ.get("LD_PRELOAD", ""):
    return
  # If a restart did not keep LD_PRELOAD, it is not tried again. A restart keeps
  # the number of the process, and child processes have other numbers.
  again = os.environ.get(_RESTARTED) == str(os.getpid())
  if library and restart and not again:
    _restart(library)
  keep_freed_memory()


def tune_script(warn: Callable[[str], None]) -> None:
  """Tune a script's or a notebook's process, which no command has tuned.

  Args:
    warn: is told what is missing, where jax has computed on the CPU before:
      XLA has read its flags then.
  """
  if os.environ.get(_OFF) == "0" or _tuned.is_set():
    return
  if not _has_computed():
    tune()
  elif sys.modules["jax"].default_backend() == "cpu":
    warn(
      "note: jax computed before this training began, so XLA's flags for CPU "
      "could not be set; for full speed begin the script with `from "
      "cvae_jax.host import cpu; cpu.tune()`"
    )


def _has_computed() -> bool:
  """Tell whether jax has begun, after which XLA reads no more flags."""
  bridge = sys.modules.get("jax._src.xla_bridge")
  has_begun = getattr(bridge, "backends_are_initialized", None)
  return has_begun() if has_begun else bridge is not None


def _restart(library: Path) -> None:
  """Start the interpreter anew with a library preloaded, if it can.

  If it cannot, the environment is as before.
  """
  before = dict(os.environ)
  try:
    os.environ[_RESTARTED] = str(os.getpid())
    preloads = [str(library), os.environ.get("LD_PRELOAD", "")]
    os.environ["LD_PRELOAD"] = ":".join(filter(None, preloads))
    for name, value in MIMALLOC.items():
      os.environ.setdefault(name, value)
    for stream in filter(None, (sys.stdout, sys.stderr)):
      with contextlib.suppress(OSError, ValueError):
        stream.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
  except (OSError, ValueError):
    os.environ.clear()
    os.environ.update(before)


def is_command(words: list[str]) -> bool:
  """Tell whether a process's words (sys.orig_argv) are one of our commands.

  That is `python -m launch.<name>` or the installed command, and neither a
  notebook's kernel, `python -` nor another script, whatever these run.
  """
  words = iter(words[1:])
  for word in words:
    if word == "-m":
      return next(words, "").startswith("launch.")
    if word in ("-X", "-W"):
      next(words, "")
    elif word == "-c" or not word.startswith("-") or word == "-":
      return Path(word).name == COMMAND
  return False


def set_flags(flags: Mapping[str, str] = FLAGS) -> None:
  """Tell XLA by XLA_FLAGS how to compile for CPU, where it knows the flag.

  What XLA_FLAGS has stays, and prevails. It is read when jax first computes.

  Args:
    flags: {XLA's name: the flag with its value}.
  """
  given = os.environ.get("XLA_FLAGS", "")
  with _xla() as knows:
    known = [
      flag
      for name, flag in flags.items()
      if knows and name not in given and knows(name)
    ]
  os.environ["XLA_FLAGS"] = " ".join(filter(None, [*known, given]))


def check_flags() -> None:
  """Check that XLA knows each flag in XLA_FLAGS; it ends the process else.

  Raises:
    UnknownFlag: it does not know one.
  """
  given = os.environ.get("XLA_FLAGS", "")
  # Otherwise it names a file, which XLA reads.
  names = _FLAG.findall(given) if given.lstrip().startswith("-") else []
  with _xla() as knows:
    for name in names:
      if knows and not knows(name):
        raise UnknownFlag(
          f"XLA_FLAGS has --{name}, which the installed XLA does not know; "
          "remove it from XLA_FLAGS, or install the jaxlib that it is of"
        )


@contextlib.contextmanager
def _xla() -> Iterator[Callable[[str], bool] | None]:
  """Yield a function that tells whether XLA knows a flag's name.

  Its names stand in its library, each between two zero bytes. Names of flags
  that it knew once stand there too, but otherwise. None: another build,
  without that file.
  """
  package = importlib.util.find_spec("jaxlib").submodule_search_locations[0]
  library = Path(package) / "libjax_common.so"
  if not library.exists():
    yield None
    return
  with (
    library.open("rb") as file,
    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code,
  ):
    yield lambda name: code.find(b"\0%b\0" % name.encode()) >= 0


def fuses_outputs() -> bool:
  """Tell whether XLA was told to write several arrays in one loop."""
  return MULTI_OUTPUT_FUSION in os.environ.get("XLA_FLAGS", "")


def has_matrix_unit() -> bool:
  """Tell whether this processor multiplies bfloat16 matrices itself (AMX)."""
  info = Path("/proc/cpuinfo")
  return info.exists() and " amx_bf16" in info.read_text()


def mimalloc() -> Path | None:
  """Find the library of the PyPI package cmeel-mimalloc, or None."""
  site = Path(sysconfig.get_paths()["purelib"])
  path = site / "cmeel.prefix" / "lib" / "libmimalloc.so"
  return path if path.exists() else None


def keep_freed_memory() -> None:
  """Tell glibc to take no mmap, never to trim, and to use one arena."""
  mmap_max = -4
  trim_threshold = -1
  arena_max = -8  # <malloc.h>
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError):  # not glibc
    return
  mallopt(mmap_max, 0)
  mallopt(trim_threshold, -1)
  mallopt(arena_max, 1)
