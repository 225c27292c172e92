"""How much memory there is, and limits under which XLA hangs or dies."""

import os
from pathlib import Path

try:
  import resource
except ImportError:  # Windows has no such limits
  resource = None

# (limit, what the shell calls it, bytes). Measured with a tiny training: with
# less, XLA's threads wait for ever or the process is killed by a signal.
_LEAST = (
  ("RLIMIT_AS", "ulimit -v", 2_000_000_000),
  ("RLIMIT_DATA", "ulimit -d", 1_000_000_000),
)

_GROUPS = (
  "/sys/fs/cgroup/memory.max",
  "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


class TooLittleMemory(ValueError):
  """Says which limit of memory is too low, and what to do."""


def check() -> None:
  """Check that this process may take the memory that any command needs.

  Raises:
    TooLittleMemory: a limit of the process forbids it.
  """
  for name, shell, least in _LEAST if resource else ():
    number = getattr(resource, name, None)
    found = -1 if number is None else resource.getrlimit(number)[0]
    if found != getattr(resource, "RLIM_INFINITY", -1) and 0 <= found < least:
      raise TooLittleMemory(
        f"out of memory: found a limit of {found / 1e6:,.0f} MB ({shell}); "
        f"expected {least / 1e6:,.0f} MB or more: raise it, as with {shell} "
        "unlimited"
      )


def total() -> float:
  """Return the bytes that all of this process may take; inf if unknown."""
  found = []
  if hasattr(os, "sysconf"):
    found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
  for path in _GROUPS:  # a container's
    try:
      found.append(int(Path(path).read_text()))
    except (OSError, ValueError):  # there is none, or it is "max"
      continue
  return min(found, default=float("inf"))
