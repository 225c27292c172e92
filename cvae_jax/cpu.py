"""Allocator settings for CPU training; a no-op where they do not apply.

XLA frees and takes its big buffers every step. Under glibc's defaults they go
back to the kernel each time and first-touch page faults take a large share of
the step. Best first:

1. mimalloc preloaded (`pip install cvae_jax[fast]`), keeping freed pages for
   a few steps. A preload must be set before the interpreter starts, so `tune`
   starts it anew.
2. glibc told to keep freed memory (mallopt).

CVAE_JAX_TUNE=0 switches both off. docs/performance.md has the figures.
"""

import ctypes
import os
import sys
import sysconfig
from pathlib import Path

_OFF = "CVAE_JAX_TUNE"
MIMALLOC = {
  # Milliseconds that freed pages are kept: longer than a step, which takes
  # them again, but not for ever, or what each checkpoint leaves adds up.
  "MIMALLOC_PURGE_DELAY": "3000",
  "MIMALLOC_ALLOW_LARGE_OS_PAGES": "1",
}


def tune() -> None:
  """Applies the best allocator that is at hand; call it before jax starts."""
  if os.environ.get(_OFF) == "0" or not sys.platform.startswith("linux"):
    return
  library = mimalloc()
  if library is None:
    keep_freed_memory()
  elif "malloc" not in os.environ.get("LD_PRELOAD", ""):
    preloads = [str(library), os.environ.get("LD_PRELOAD", "")]
    os.environ["LD_PRELOAD"] = ":".join(filter(None, preloads))
    for name, value in MIMALLOC.items():
      os.environ.setdefault(name, value)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def mimalloc() -> Path | None:
  """Finds the library of the PyPI package cmeel-mimalloc, or None."""
  site = Path(sysconfig.get_paths()["purelib"])
  path = site / "cmeel.prefix" / "lib" / "libmimalloc.so"
  return path if path.exists() else None


def keep_freed_memory() -> None:
  """Tells glibc to take no mmap, never to trim, and to use one arena."""
  mmap_max, trim_threshold, arena_max = -4, -1, -8  # <malloc.h>
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError):  # not glibc
    return
  mallopt(mmap_max, 0)
  mallopt(trim_threshold, -1)
  mallopt(arena_max, 1)
