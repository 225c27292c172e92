"""Workarounds for orbax: paths that it can read, errors in one line."""

import contextlib
import copy
import gc
import glob
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cvae_jax.loop.folder.integrity import CheckpointError, Damaged

_COUNTER = "orbax.checkpoint._src.serialization.tensorstore_utils"

# Orbax logs each save and restore in dozens of lines at INFO, what is wrong
# with a checkpoint at WARNING, and a failed write with its traceback at ERROR.
# It also raises these, and our own errors say them in one line.
logging.getLogger("absl").addFilter(
  lambda record: "orbax" not in record.pathname
)


def _drop_late(report: Callable) -> Callable:
  """Return a hook that drops the errors that follow a failed write.

  Orbax closes its event loop at the first failure. The other writes under way
  then cannot report to it, and each prints a traceback. If no file can be
  opened any more, so does a loop that was never completely built.
  """

  def hook(info):
    said = str(info.exc_value)
    if said != "Event loop is closed" and not said.endswith("'_ssock'"):
      report(info)

  return hook


sys.unraisablehook = _drop_late(sys.unraisablehook)


def _is_wanted(record: logging.LogRecord) -> bool:
  """Tell whether a record of asyncio is of anything but orbax.

  A failed write is raised. For the other writes, which nothing waits for any
  more, asyncio would print a traceback.
  """
  error = record.exc_info and record.exc_info[1]
  if not error or "never retrieved" not in record.getMessage():
    return True
  frames = traceback.extract_tb(error.__traceback__)
  own = any("orbax" in frame.filename for frame in frames)
  return not (own or "OCDBT" in str(error) or "tensorstore" in str(error))


logging.getLogger("asyncio").addFilter(_is_wanted)


def stop_leaks() -> None:
  """Keep orbax from two calls of tensorstore that leak memory at each save."""
  _stop_counting()
  _resolve_once()


def _stop_counting() -> None:
  """Keep orbax from asking tensorstore for the bytes of each save.

  They go into a log that is dropped here, and each answer leaks 5 KiB
  (tensorstore 0.1.86): a run that saves often grew by 25 KiB a save.
  """
  module = sys.modules.get(_COUNTER)
  if hasattr(module, "get_tensorstore_raw_bytes"):
    module.get_tensorstore_raw_bytes = lambda direction=None: 0


def _resolve_once() -> None:
  """Let orbax resolve a checkpoint's folder once, not once an array.

  Each time tensorstore 0.1.86 leaks 300 bytes: a run that saves often grew by
  tens of KiB a save.
  """
  module = sys.modules.get(_COUNTER)
  resolve = getattr(module, "_build_ocdbt_kvstore_tspec", None)
  if resolve is None:
    return
  last: dict[str, dict[str, Any]] = {}

  def build(directory: Any, name: str | None = None, **options: Any):
    key = repr((str(directory), options))
    if key not in last:
      last.clear()
      last[key] = resolve(directory, None, **options)
    spec = copy.deepcopy(last[key])
    return spec if name is None else spec | {"path": name}

  module._build_ocdbt_kvstore_tspec = build


class Alias:
  """Another path to a folder: orbax takes a name like `[1]` for a pattern.

  A path without such characters is its own alias.
  """

  def __init__(self, folder: Path):
    self.folder = folder
    self._place: Path | None = None
    # tensorstore reads a backslash as a slash.
    if glob.has_magic(str(folder)) or "\\" in str(folder):
      room = tempfile.gettempdir()
      room = "/tmp" if glob.has_magic(room) else room
      self._place = Path(tempfile.mkdtemp(prefix="cvae_jax_", dir=room))
      self.folder = self._place / "run"
      self.folder.symlink_to(folder, target_is_directory=True)

  def close(self) -> None:
    """Remove the alias."""
    if self._place:
      shutil.rmtree(self._place, ignore_errors=True)


@contextlib.contextmanager
def explain(folder: Path) -> Iterator[None]:
  """Explain in one line, with the folder, an error while orbax writes.

  Raises:
    CheckpointError: something did.
  """
  try:
    yield
  except CheckpointError:
    raise
  except Exception as error:
    # Python would warn at exit of each write that orbax never began.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
    raise CheckpointError(
      f"a checkpoint could not be written to {folder}: {_find_cause(error)}; "
      "make room or rights there, then run the same command again"
    ) from error


def read(where: str, reader: Callable[[], Any]) -> Any:
  """Call a function of orbax; an error of it means a damaged checkpoint.

  Raises:
    Damaged: it raised something. `where` names the checkpoint.
  """
  with _quiet():
    try:
      return reader()
    # Orbax and tensorstore raise nearly any exception.
    except Exception as error:
      reason = f"{type(error).__name__}: {_first_line(error)}"
    time.sleep(0.2)
    gc.collect()  # the remaining reads report now, and not later
  raise Damaged(f"{where} is damaged: it cannot be read ({reason})")


def retry(look: Callable[[], Any], times: int = 20) -> Any:
  """Return look(); try again if a folder vanished while orbax listed them.

  A training deletes old checkpoints while other processes read its run.
  """
  for _ in range(times - 1):
    try:
      return look()
    except FileNotFoundError:
      time.sleep(0.05)
  return look()


def _first_line(error: Exception) -> str:
  """Return an error's first line, cut where it is long."""
  return str(error).strip().partition("\n")[0][:200]


def _find_cause(error: Exception) -> str:
  """Return the message of the operating system, which tensorstore has last."""
  code = re.search(r"os_error_code='(\d+)'", str(error))
  return os.strerror(int(code[1])) if code else _first_line(error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Drop the reports of the other reads when one of them fails.

  Orbax reads all arrays at the same time and closes the event loop at the
  first failure. The rest would print a traceback each.
  """
  report = sys.unraisablehook
  log = logging.getLogger("asyncio")
  sys.unraisablehook = lambda info: None
  log.disabled = True
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  finally:
    log.disabled = False
    sys.unraisablehook = report
