"""A folder of compiled programs: what was compiled once starts at once.

XLA compiles a training's programs for several seconds. jax can keep them in a
folder, by a hash of the program, its options and its own version, so that the
second launch reads them. They are the same machine code, so the bits of a run
do not depend on the folder.
"""

import hashlib
import os
import platform
import sys
import zlib
from pathlib import Path

from cvae_jax.host.console import say

OFF = "off"
LIMIT = 1 << 30  # bytes of a folder; the oldest half goes then
_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_ZLIB = 0x78  # the first byte of what zlib compressed
_CHECKED = ".checked"  # a file; entries older than it have been checked


def use(choice: str = "") -> Path | None:
  """Keep compiled programs in a folder; call it before jax is imported.

  It sets jax's environment variables, which a process started from this one
  inherits. One that the user has set stays.

  Args:
    choice: a folder, "off", or "" for `default()`.

  Returns:
    The folder; None where nothing is kept or the user has named one by
    JAX_COMPILATION_CACHE_DIR. A folder that cannot be written is one warning.
  """
  if choice == OFF:
    _set("")
    return None
  if _FOLDER in os.environ and not choice:
    return None
  folder = None
  try:
    folder = Path(choice).expanduser() if choice else default()
    folder = folder / _name_processor()
    # Programs are run as they are: nobody else may put some there.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _tidy(folder)
  except (OSError, RuntimeError) as error:  # no right, no space, no home
    said = getattr(error, "strerror", None) or error
    where = folder or "a home folder"
    say(
      f"warning: compiled programs cannot be kept in {where} ({said}), "
      "so each launch compiles anew; name another folder by "
      "--compile_cache=DIR, or say --compile_cache=off",
      sys.stderr,
    )
    _set("")
    return None
  _set(str(folder))
  return folder


def _set(folder: str) -> None:
  """Set the folder for jax and for processes that this one starts.

  With "" nothing is kept.
  """
  os.environ[_FOLDER] = folder
  os.environ.setdefault(_LEAST, "0")
  if jax := sys.modules.get("jax"):  # by a module of the user's own
    jax.config.update("jax_compilation_cache_dir", folder or None)
    jax.config.update(_LEAST.lower(), float(os.environ[_LEAST]))


def default() -> Path:
  """Return the user's cache folder: $XDG_CACHE_HOME or ~/.cache."""
  base = os.environ.get("XDG_CACHE_HOME", "")
  # Relative paths are to be ignored, says the XDG specification.
  base = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
  return base / "cvae_jax" / "compiled"


def _name_processor() -> str:
  """Return a name of this kind of processor.

  A home folder may be shared by machines, and machine code for one processor
  may use instructions that another does not have.
  """
  facts = [platform.machine(), platform.system()]
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    lines = [platform.processor()]
  kinds = ("flags", "Features", "model name")
  facts += sorted({line for line in lines if line.startswith(kinds)})
  return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _tidy(folder: Path) -> None:
  """Delete entries that a kill cut short, and the oldest of too many.

  jax does not overwrite an entry, so a damaged one would cause a warning at
  each launch.

  Raises:
    OSError: the folder cannot be written.
  """
  marker = folder / _CHECKED
  checked = marker.stat().st_mtime if marker.exists() else 0.0
  marker.touch()
  entries = []
  for path in folder.glob("*-cache"):
    try:
      status = path.stat()
      if status.st_mtime >= checked and _is_damaged(path):
        path.unlink()
      else:
        entries.append((status.st_mtime, status.st_size, path))
    except FileNotFoundError:  # another launch was quicker
      continue
  size = sum(entry[1] for entry in entries)
  if size <= LIMIT:
    return
  for _, own, path in sorted(entries):
    path.unlink(missing_ok=True)
    size -= own
    if size <= LIMIT // 2:
      return


def _is_damaged(path: Path) -> bool:
  """Tell whether an entry cannot be decompressed; others than zlib's pass."""
  data = path.read_bytes()
  if not data or data[0] != _ZLIB:
    return not data
  try:
    zlib.decompress(data)
  except zlib.error:
    return True
  return False
