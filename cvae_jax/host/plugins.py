"""Modules found by name: the package's own, or a user's.

A short name, "vae", is a module of this package. A dotted one,
"my_lab.my_vae", is a user's own module. It is imported only if the user asked
for it, since a run's folder that somebody sent may name any module.
"""

import importlib
import pkgutil
from collections.abc import Collection
from types import ModuleType
from typing import Any

from cvae_jax.settings import ConfigError, hint

EVERY = "*"  # trusted: each module that a run names
_trusted: set[str] = set()


def trust(*names: str) -> None:
  """Let dotted names be imported from now on, in this process."""
  _trusted.update(names)


class Untrusted(ConfigError):
  """Says which module a run wants that nobody asked for."""


def names(package: ModuleType, without: Collection[str] = ()) -> list[str]:
  """List the short names: the modules of a package."""
  found = {module.name for module in pkgutil.iter_modules(package.__path__)}
  return sorted(found - set(without))


# What a module has to have, and how that is written: docs/extend.md.
_PARTS = {
  "system": {"make": "def make(config, facts)"},
  "data source": {
    "load": "def load(config)",
    "Conditions": "from cvae_jax.data.arrays import Conditions",
  },
  "kind of attribute": {"Kind": "class Kind(Attribute)"},
}


def load(
  name: str, package: ModuleType, what: str, known: Collection[str]
) -> ModuleType:
  """Import a module by its short or dotted name.

  Args:
    name: "vae", or "my_lab.my_vae" for a module of the user's own.
    package: where short names are looked up.
    what: "system", "data source" or "kind of attribute", for the errors.
    known: the short names there are.

  Raises:
    Untrusted: the name is dotted and nobody asked for it; see `trust`.
    ConfigError: there is no such module, or it lacks a part.
  """
  if not isinstance(name, str) or not name:
    raise ConfigError(f"the {what} is {name!r}; expected a name")
  if "." not in name or name.startswith(".") or "/" in name:
    if name not in known:
      raise ConfigError(
        f"unknown {what} {name!r}{hint(name, known)}; a module of your own has "
        "a dot in its name, as my_lab.mine for my_lab/mine.py (docs/extend.md)"
      )
    return importlib.import_module(f"{package.__name__}.{name}")
  if not _trusted & {name, EVERY}:
    raise Untrusted(
      f"this run wants the module {name!r} as its {what}, which runs code of "
      "its own; if you trust it, add --trust (in Python trust=True; for a "
      f"prepared set, cvae_jax.host.plugins.trust({name!r}))"
    )
  module = _import(name, what)
  for part, written in _PARTS[what].items():
    if not hasattr(module, part):
      raise ConfigError(
        f"the module {name!r} has no {part}, which a {what} needs: {written} "
        "(docs/extend.md)"
      )
  return module


def check(found: Any, kind: type, where: str) -> None:
  """Check the type of what a module returned.

  Raises:
    ConfigError: it is of another.
  """
  if not isinstance(found, kind):
    raise ConfigError(
      f"{where} returned a {type(found).__name__}; expected a "
      f"{kind.__name__} (docs/extend.md)"
    )


def _import(name: str, what: str) -> ModuleType:
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    missing = error.name or ""
    if name != missing and not name.startswith(f"{missing}."):
      raise  # the module is there, and what it imports is not
    raise ConfigError(
      f"no module {name!r} for the {what}; run the command in the folder that "
      "holds it, or add that folder to PYTHONPATH"
    ) from None
