"""A lock on a folder that ends with the process that holds it."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from cvae_jax.host.console import say
from cvae_jax.host.paths import PathError

FILE = ".lock"


class FolderInUse(ValueError):
  """Says which process works in a folder."""


@contextlib.contextmanager
def hold(folder: Path, doing: str) -> Iterator[None]:
  """Keep other processes from writing into a folder meanwhile.

  The lock is of the operating system (flock). It ends when the process ends,
  however that happens, so nothing is left to clean up after a kill. A folder
  on a read-only disk needs no lock. Where the file system has no locks, a
  line says so and the work goes on.

  Args:
    folder: the folder to write into. It is created.
    doing: what this process does there, as in "training".

  Raises:
    FolderInUse: another process holds the lock.
    PathError: the folder cannot be made, or not written to.
  """
  folder = Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o666)
  except OSError as error:
    if folder.is_dir() and not os.access(folder, os.W_OK):
      yield
      return
    raise PathError(
      f"{folder} cannot be written to ({error.strerror or error}); give a"
      " folder that can be made or written to"
    ) from error
  try:
    _lock(file, folder)
    _sign(file, doing)
    try:
      yield
    finally:
      os.ftruncate(file, 0)
  finally:
    os.close(file)


@contextlib.contextmanager
def wait_for(folder: Path) -> Iterator[None]:
  """Wait for the folder, and make other callers of this function wait.

  This lock is another one than `hold`'s, since a run's figures may be written
  while it trains.
  """
  file = os.open(folder, os.O_RDONLY)
  try:
    with contextlib.suppress(OSError):  # a file system without locks
      fcntl.flock(file, fcntl.LOCK_EX)
    yield
  finally:
    os.close(file)


def _sign(file: int, doing: str) -> None:
  """Write who holds the lock, for the error of another process."""
  text = f"{os.getpid()} {socket.gethostname()} {doing}"
  with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
    os.ftruncate(file, 0)  # a process that was killed leaves its own
    os.pwrite(file, text.encode(), 0)


def _lock(file: int, folder: Path) -> None:
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    raise FolderInUse(_holder(file, folder)) from None
  except OSError as error:
    say(
      f"warning: {folder} cannot be locked ({error.strerror}); make sure that "
      "no other process writes there"
    )


def _holder(file: int, folder: Path) -> str:
  words = os.pread(file, 1000, 0).decode(errors="replace").split(" ", 2)
  pid, host, doing = words if len(words) == 3 else ("?", "?", "working")
  return (
    f"process {pid} on {host} is {doing} in {folder}; one process at a time "
    "may. Wait for it, stop it, or use another folder"
  )
