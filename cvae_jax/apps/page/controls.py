"""The controls of the page: for each attribute the settings it can have.

The attribute itself computes the entries of every setting here, so the page
needs no formula for them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cvae_jax.apps import editing
from cvae_jax.data.conditions import kinds
from cvae_jax.data.conditions.angle import Angle
from cvae_jax.data.conditions.attribute import Attribute
from cvae_jax.data.conditions.multilabel import MultiLabel
from cvae_jax.host.arguments import RunError
from cvae_jax.runs import Run

STEPS = 101  # settings of a number's slider
_TURN = 72  # of an angle's
_DIGITS = (4, 6, 8)  # of a setting; as few as tell the settings apart


def from_run(run: Run) -> list[dict[str, Any]]:
  """Return a control for each attribute of a run, as JSON types.

  Raises:
    RunError: the run has conditions without attributes.
  """
  conditions = run.conditions
  attributes = editing.attributes(run)
  if run.condition_size and not attributes and run.reads_condition:
    raise RunError(
      f"{run.folder}: its conditions name no attributes, so the page has "
      "nothing to show as a control"
    )
  if not attributes:
    return []
  begin = _first(conditions)
  return [_control(run, a, begin) for a in attributes]


def _first(conditions: Any) -> dict[str, Any]:
  """Return the values that the page shows first: those of a training row."""
  rows = conditions.training_conditions()
  rows = conditions.panel() if rows is None else rows
  return conditions.decode(rows[:1])[0]


def _control(run: Run, attribute: Attribute, begin) -> dict[str, Any]:
  conditions = run.conditions
  name = attribute.name
  values = _values(attribute)
  entries = attribute.encode(values)
  columns = conditions.columns(name)
  found = {
    "name": name,
    "kind": _widget(attribute),
    "columns": np.arange(conditions.size)[columns].tolist(),
    "bit": conditions.bit(name),
    "unknown": name in run.unknowns,
    "values": values,
    "entries": np.asarray(entries, np.float32).tolist(),
    "grid": [values.index(value) for value in _spread(values)],
  }
  first = begin[name]
  if first is None:
    return found | {"first": None}
  if isinstance(attribute, MultiLabel):
    return found | {"first": [tag for tag in first.split(";") if tag]}
  own = attribute.encode([first], strict=False)
  distance = np.abs(np.asarray(entries) - own).sum(axis=1)
  return found | {"first": values[int(distance.argmin())]}


def _widget(attribute: Attribute) -> str:
  """Return the kind of control that an attribute has, also of a user's own."""
  if isinstance(attribute, MultiLabel):
    return "tags"
  bases = (base.__dict__.get("kind") for base in type(attribute).__mro__)
  known = [name for name in bases if name in kinds.KINDS]
  return next(iter(known), "class" if attribute.levels else "number")


def _values(attribute: Attribute) -> list[Any]:
  """Return the settings of a control: words, or numbers a step apart."""
  if attribute.levels:
    return [*attribute.levels]
  steps = _TURN if isinstance(attribute, Angle) else STEPS
  numbers = attribute.settings(steps)
  for digits in _DIGITS:
    short = [float(f"{number:.{digits}g}") for number in numbers]
    if len({*short}) < len(short):
      continue
    short[0] = numbers[0]
    if not isinstance(attribute, Angle):
      short[-1] = numbers[-1]
    return short
  return numbers


def _spread(values: Sequence[Any], most: int = 12) -> list[Any]:
  """Return the settings of a grid: all words, or nine numbers."""
  numbers = not isinstance(values[0], str)
  count = min(9 if numbers else most, len(values))
  places = np.linspace(0, len(values) - 1, count).round().astype(int)
  return [values[i] for i in places]
