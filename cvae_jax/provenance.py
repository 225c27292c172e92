"""Which code makes a run: version, hash of the files, commit."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from cvae_jax import __version__

_PACKAGE = Path(__file__).resolve().parent


def of_code() -> dict[str, Any]:
  """Return version, sha256, commit and uncommitted of the package's code.

  The commit is None where the package is not in its own repository.
  """
  own = _in_own_repository()
  changes = _git("status", "--porcelain", "-uno", ".") if own else None
  return {
    "version": __version__,
    "sha256": files_hash(_PACKAGE),
    "commit": _git("rev-parse", "HEAD") if own else None,
    "uncommitted": bool(changes),
  }


def files_hash(folder: Path) -> str:
  """Compute SHA-256 over the names and contents of a folder's .py files.

  Pages, commands and scripts, which lie inside only where installed, are
  left out: a checkout and its wheel have the same hash.
  """
  beside = ("configs", "launch", "prepare")
  digest = hashlib.sha256()
  for path in sorted(folder.rglob("*.py")):
    name = path.relative_to(folder)
    if name.parts[0] not in beside:
      content = hashlib.sha256(path.read_bytes()).hexdigest()
      digest.update(f"{name.as_posix()} {content}\n".encode())
  return digest.hexdigest()


def _in_own_repository() -> bool:
  """Tell whether git tracks this very package, at the top of a checkout."""
  top = _git("rev-parse", "--show-toplevel")
  if top is None or Path(top).resolve() != _PACKAGE.parent:
    return False
  files = ("__init__.py", "../setup.py")
  return _git("ls-files", "--error-unmatch", *files) is not None


def _git(*words: str) -> str | None:
  """Ask git about the package's folder; None where it has no answer."""
  try:
    done = subprocess.run(
      ["git", "-C", str(_PACKAGE), *words], capture_output=True, text=True
    )
  except OSError:
    return None
  return done.stdout.strip() if done.returncode == 0 else None
