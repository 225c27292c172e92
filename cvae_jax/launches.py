"""environment.json: where a run was launched, each time anew."""

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import jax

from cvae_jax import provenance
from cvae_jax.console import say
from cvae_jax.files import DamagedFile, read_json, write_atomically

FILE = "environment.json"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def read(folder: Path) -> list[dict[str, Any]]:
  """Read a run's launches, the first one first.

  Raises:
    DamagedFile: the file is damaged.
  """
  remedy = "going on with the run begins it anew"
  found = read_json(Path(folder) / FILE, list, remedy)
  if not found or not all(isinstance(launch, dict) for launch in found):
    raise DamagedFile(
      f"{Path(folder) / FILE} is damaged: expected a list of launches; {remedy}"
    )
  return found


def add(folder: Path) -> None:
  """Add this launch. A damaged log blocks nothing: it is set aside."""
  path = Path(folder) / FILE
  launches = []
  if path.exists():
    try:
      launches = read(folder)
    except DamagedFile as error:
      aside = path.with_name(f"{FILE}.damaged")
      path.replace(aside)
      say(f"warning: {error}. It is kept as {aside}")
  launches.append(
    {
      "time": datetime.datetime.now(datetime.UTC).isoformat(),
      "argv": sys.argv,
      **provenance.of_code(),
      "python": platform.python_version(),
      "packages": {p: importlib.metadata.version(p) for p in _PACKAGES},
      "xla_flags": os.environ.get("XLA_FLAGS", ""),
      "device": str(jax.devices()[0]),
      "host": platform.platform(),
      "cores": os.cpu_count(),
    }
  )
  write_atomically(path, json.dumps(launches, indent=2) + "\n")
