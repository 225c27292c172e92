"""What a run's bits depend on: the code, the packages, jax's settings."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from cvae_jax import __version__
from cvae_jax.host.paths import PACKAGE

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_OPTIONS = (  # settings of jax: with another value a run has other bits
  "jax_default_prng_impl",
  "jax_threefry_partitionable",
  "jax_enable_x64",
  "jax_default_matmul_precision",
  "jax_numpy_dtype_promotion",
  "jax_disable_jit",
)


def describe_launch(programs: Mapping[str, Any]) -> dict[str, Any]:
  """Return the entry of environment.json for this process.

  Args:
    programs: what the compiled steps depend on (dispatch.describe_programs).
  """
  return {
    "time": datetime.datetime.now(datetime.UTC).isoformat(),
    "argv": sys.argv,
    **describe_code(),
    "python": platform.python_version(),
    "packages": {p: importlib.metadata.version(p) for p in _PACKAGES},
    "xla_flags": os.environ.get("XLA_FLAGS", ""),
    "device": str(jax.devices()[0]),
    "bits": {**describe_bits(), **programs},
    "host": platform.platform(),
    "cores": os.cpu_count(),
  }


def describe_bits() -> dict[str, Any]:
  """Return {name: value} of the settings that may change a run's bits."""
  return {
    **{name: getattr(jax.config, name) for name in _OPTIONS},
    **{p: importlib.metadata.version(p) for p in ("jax", "jaxlib")},
    "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    "CVAE_JAX_TUNE": os.environ.get("CVAE_JAX_TUNE", ""),
    "device kind": jax.devices()[0].device_kind,
    "device count": jax.device_count(),
  }


def changes(before: Mapping[str, Any], today: Mapping[str, Any]) -> list[str]:
  """List what changed between two launches, "name: was → is".

  Settings that an older launch did not record are not compared.
  """
  was = before.get("bits", {})
  now = today["bits"]
  return [
    f"{name}: {was[name]!r} → {now[name]!r}"
    for name in now
    if name in was and was[name] != now[name]
  ]


def describe_code() -> dict[str, Any]:
  """Return version, sha256, commit and uncommitted of the package's code.

  The commit is None if the package is not in its own repository.
  """
  own = _in_own_repository()
  changes = _git("status", "--porcelain", "-uno", ".") if own else None
  return {
    "version": __version__,
    "sha256": files_hash(PACKAGE),
    "commit": _git("rev-parse", "HEAD") if own else None,
    "uncommitted": bool(changes),
  }


def files_hash(folder: Path) -> str:
  """Compute SHA-256 over the names and contents of a folder's .py files.

  Pages, commands and scripts are left out: they lie inside only if the package
  is installed. So a checkout and its wheel have the same hash.
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
  if top is None or Path(top).resolve() != PACKAGE.parent:
    return False
  files = ("__init__.py", "../setup.py")
  return _git("ls-files", "--error-unmatch", *files) is not None


def _git(*words: str) -> str | None:
  """Ask git about the package's folder; None if it has no answer."""
  try:
    done = subprocess.run(
      ["git", "-C", str(PACKAGE), *words], capture_output=True, text=True
    )
  except OSError:
    return None
  return done.stdout.strip() if done.returncode == 0 else None
