"""The kinds of attributes by name, and how a line states those of a table.

A kind of a user's own is a module with a class `Kind`, named with a dot:
my_lab.month (docs/extend.md).
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.conditions import (
  angle,
  binary,
  classes,
  log,
  multilabel,
  number,
  ordinal,
)
from cvae_jax.data.conditions.attribute import Attribute
from cvae_jax.host import plugins

KINDS: Mapping[str, type[Attribute]] = {
  kind.kind: kind
  for kind in (
    classes.Class,
    binary.Binary,
    multilabel.MultiLabel,
    ordinal.Ordinal,
    number.Number,
    log.Log,
    angle.Angle,
  )
}


def kind(name: str) -> type[Attribute]:
  """Return a kind by its name, or that of a user's own module.

  Raises:
    DataError: there is none.
    ConfigError: the module is not there, is not trusted or has no kind.
  """
  if name in KINDS:
    return KINDS[name]
  if "." not in name:
    raise DataError(
      f"no kind of attribute {name!r}; there is {_all()}. A kind of your own "
      "is a module with a dot in its name, as my_lab.month (docs/extend.md)"
    )
  found = plugins.load(name, sys.modules[__package__], "kind of attribute", ())
  if not (isinstance(found.Kind, type) and issubclass(found.Kind, Attribute)):
    raise DataError(f"{name}.Kind is no subclass of Attribute (docs/extend.md)")
  if found.Kind.kind != name:
    raise DataError(
      f"kind of {name}.Kind is {found.Kind.kind!r}; expected {name!r}, by "
      "which runs find it: kind = __name__"
    )
  return found.Kind


def parse(text: str) -> dict[str, dict[str, Any]]:
  """Read "size=number,grade=ordinal:low<mid<high" into entries by name.

  Details follow a colon: the levels of a class, a binary or a multi-label,
  joined by "|"; those of an ordinal, joined by "<"; the range of a number or a
  log, as "0|1"; or an angle's period.

  Raises:
    DataError: a part is not name=kind, or what follows the colon is wrong.
  """
  found = {}
  for part in filter(None, (part.strip() for part in text.split(","))):
    name, equals, said = part.partition("=")
    if not equals:
      raise DataError(
        f"{part!r} is not name=kind, as in size=number; kinds are {_all()}"
      )
    name = name.strip()
    if name in found:
      raise DataError(f"{name!r} comes twice in {text!r}")
    chosen, _, detail = said.partition(":")
    plugins.trust(chosen.strip())  # who states a kind asks for its module
    kind(chosen.strip())
    entry = {"name": name, "kind": chosen.strip()}
    found[name] = entry | (_detail(entry, detail) if detail else {})
  return found


def state(entry: Mapping[str, Any]) -> str:
  """Return an entry of a schema as `parse` reads it."""
  name, chosen = entry["name"], entry["kind"]
  if "period" in entry:
    detail = [entry["period"]]
  else:
    detail = entry.get("levels") or entry.get("range", ())
  return f"{name}={chosen}" + (
    ":" + _joint(chosen).join(map(str, detail)) if detail else ""
  )


def _joint(chosen: str) -> str:
  """Return what stands between the details of a kind."""
  return "<" if chosen == "ordinal" else "|"


def _detail(entry: Mapping[str, Any], detail: str) -> dict[str, Any]:
  """Read the details after a kind's colon."""
  name = entry["name"]
  chosen = entry["kind"]
  words = [part.strip() for part in detail.split(_joint(chosen))]
  if not issubclass(kind(chosen), number.Number | angle.Angle):
    return {"levels": words}
  numbers = _numbers(words)
  ranged = not issubclass(kind(chosen), angle.Angle)
  if ranged and numbers is not None and len(words) == 2:
    return {"range": numbers.tolist()}
  if not ranged and numbers is not None and len(words) == 1:
    return {"period": float(numbers[0])}
  wanted = "low|high" if ranged else "its period"
  raise DataError(f"{name}={chosen}: expected {wanted}; found {detail!r}")


def _numbers(words) -> np.ndarray | None:
  """Return words as finite numbers, or None if one is none."""
  try:
    found = np.array([float(word) for word in words])
  except ValueError:
    return None
  return found if np.isfinite(found).all() else None


def _all() -> str:
  return ", ".join(KINDS)
