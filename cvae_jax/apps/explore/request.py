"""The request that a picture answers, as a link and as JSON.

A link speaks as the command line does: set=class=3&set=ink=0.5&seed=7&z=4:1.5
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from cvae_jax.apps.explore.opened import COUNT, Opened
from cvae_jax.runs import RunError
from cvae_jax.settings import SEEDS

GUIDANCE = (1.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Request:
  """Everything that one picture depends on, apart from the run.

  `values` has a value for each condition, None where it is unknown. `pick` is
  the one of COUNT draws of `seed` that is shown large; `moved` has the
  latents that were set by hand.
  """

  values: Mapping[str, Any]
  seed: int = 0
  pick: int = 0
  moved: Mapping[int, float] = dataclasses.field(default_factory=dict)
  guidance: float = 1.0

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types."""
    found = dataclasses.asdict(self)
    found["moved"] = {str(key): value for key, value in self.moved.items()}
    return found | {"count": COUNT}

  def to_query(self, run: str) -> str:
    """Return the request as the query of a link."""
    parts = [("run", run)]
    for name, value in self.values.items():
      # "" among words is no label of a multilabel; in a link it is unknown.
      text = "" if value is None else "none" if value == "" else value
      parts.append(("set", f"{name}={text}"))
    parts.append(("seed", str(self.seed)))
    if self.pick:
      parts.append(("pick", str(self.pick)))
    if self.moved:
      moved = ",".join(f"{k}:{v:g}" for k, v in self.moved.items())
      parts.append(("z", moved))
    if self.guidance != 1.0:
      parts.append(("guidance", f"{self.guidance:g}"))
    return "&".join(f"{k}={quote(v, safe='=:;,')}" for k, v in parts)


def first(opened: Opened) -> Request:
  """Return the first request of a run: a visible setting of all attributes."""
  values = {}
  for attribute in opened.attributes:
    shown = attribute.settings(3)
    middle = 1 if hasattr(attribute, "range") else len(shown) // 3
    values[attribute.name] = shown[middle]
  return Request(values)


def from_query(opened: Opened, query: Sequence[tuple[str, str]]) -> Request:
  """Return the request of a link; the rest is as in `first`.

  Args:
    opened: the run.
    query: (key, value) pairs, decoded.

  Raises:
    DataError: a condition or its value is unknown.
    RunError: a number is none, or outside its range, or the model takes no
      guidance.
  """
  base = first(opened)
  values = dict(base.values)
  for part in (value for key, value in query if key == "set"):
    name, _, text = part.partition("=")
    values[name] = _value(opened, name, text)
  given = {key: value for key, value in query if key != "set"}
  guidance = _number(given, "guidance", 1.0, *GUIDANCE)
  if guidance != 1.0 and not (opened.run.takes_guidance and opened.attributes):
    raise RunError(
      f"guidance is {guidance:g}, and this model was trained with every value "
      "known, so it takes none; leave it out"
    )
  return Request(
    values,
    int(_number(given, "seed", 0, 0, SEEDS - 1)),
    int(_number(given, "pick", 0, 0, COUNT - 1)),
    _parse_moves(opened, given.get("z", "")),
    guidance,
  )


def _value(opened: Opened, name: str, text: str) -> Any:
  """Return a condition's value, checked."""
  if name not in [a.name for a in opened.attributes]:
    known = ", ".join(a.name for a in opened.attributes) or "none"
    raise RunError(f"no condition {name!r}; there is {known}")
  attribute = opened.run.conditions.attribute(name)
  may_be_unknown = name in opened.run.unknowns
  if not attribute.known(text) or (not text and may_be_unknown):
    if may_be_unknown:
      return None
    raise RunError(f"{name} needs a value; this model knows no unknown ones")
  attribute.encode([text])
  return text if attribute.levels else float(text)


def _number(given, key: str, default: float, low: float, high: float) -> float:
  try:
    value = float(given.get(key, default))
  except ValueError:
    value = np.nan
  if not low <= value <= high:
    raise RunError(f"{key} is from {low:g} to {high:g}; found {given[key]!r}")
  return value


def _parse_moves(opened: Opened, text: str) -> dict[int, float]:
  """Read "4:1.5,7:-2" into {latent: value}."""
  found = {}
  for part in filter(None, text.split(",")):
    latent, _, value = part.partition(":")
    try:
      found[int(latent)] = float(value)
    except ValueError:
      raise RunError(
        f"z is latent:value, as in 4:1.5; found {part!r}"
      ) from None
    if not 0 <= int(latent) < len(opened.spans) or not np.isfinite(
      found[int(latent)]
    ):
      raise RunError(
        f"z: latents are from 0 to {len(opened.spans) - 1}, their values "
        f"finite; found {part!r}"
      )
  return found
