"""A control for each condition, by its kind."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from cvae_jax.apps.explore.opened import Opened
from cvae_jax.data.conditions.angle import Angle
from cvae_jax.data.conditions.log import Log
from cvae_jax.data.conditions.multilabel import (
  SEPARATOR,
  MultiLabel,
  labels,
)

BUTTONS = 12  # levels that are shown as buttons; more become a list
UNKNOWN = "\x00unknown"  # it is not the name of a level
STEPS = 100  # of a slider, see step_of


class Control(NamedTuple):
  """The control of one condition.

  `unknown` is a box beside the control, if the control has no such choice.
  """

  attribute: Any
  value: Any
  unknown: Any = None

  @property
  def components(self) -> list:
    """Return the components that a person moves."""
    return [self.value, *([] if self.unknown is None else [self.unknown])]


def build(opened: Opened, values: Mapping[str, Any]) -> list[Control]:
  """Put a control for each condition onto the page, at `values`."""
  return add_controls(opened.attributes, values, opened.run.unknowns)


def add_controls(
  attributes: Sequence[Any],
  values: Mapping[str, Any],
  unknowns: Collection[str],
) -> list[Control]:
  """Put a control for each attribute onto the page, at `values`.

  Args:
    unknowns: names of those that may be unknown.
  """
  return [_control(a, values[a.name], a.name in unknowns) for a in attributes]


def connect(controls: Sequence[Control], **how: Any) -> None:
  """Disable each control while its condition is marked as unknown."""

  def follow(unknown: bool):
    return gr.update(interactive=not unknown)

  for control in controls:
    if control.unknown is not None:
      control.unknown.change(follow, control.unknown, control.value, **how)


def components(controls: Sequence[Control]) -> list:
  """Return all components of controls, in the order of `read`."""
  return [part for control in controls for part in control.components]


def read(controls: Sequence[Control], given: Sequence[Any]) -> dict[str, Any]:
  """Return {condition: value} of what the components say."""
  rest = iter(given)
  found = {}
  for control in controls:
    value = next(rest)
    unknown = control.unknown is not None and next(rest)
    if isinstance(control.attribute, MultiLabel):
      value = SEPARATOR.join(value or ())
    if isinstance(control.attribute, Log):
      value = 10.0**value
    missing = unknown or value == UNKNOWN
    found[control.attribute.name] = None if missing else value
  return found


def write(controls: Sequence[Control], values: Mapping[str, Any]) -> list:
  """Return what the components are to say, so that `read` gives `values`."""
  found = []
  for control in controls:
    attribute = control.attribute
    value = values[attribute.name]
    if control.unknown is None:
      found.append(UNKNOWN if value is None else _display(attribute, value))
    else:
      found.append(gr.skip() if value is None else _display(attribute, value))
      found.append(value is None)
  return found


def _display(attribute: Any, value: Any) -> Any:
  if isinstance(attribute, MultiLabel):
    return labels(value)
  if isinstance(attribute, Log):
    return math.log10(value)
  return str(value) if attribute.levels else float(value)


def _control(attribute: Any, value: Any, may_be_unknown: bool) -> Control:
  """Build the control of one condition."""
  label = attribute.name.replace("_", " ")
  if isinstance(attribute, MultiLabel):
    tags = gr.CheckboxGroup(
      list(attribute.levels), value=labels(value), label=label
    )
    return Control(attribute, tags, _box(label) if may_be_unknown else None)
  if attribute.levels:
    choices = [(level, level) for level in attribute.levels]
    choices += [("unknown", UNKNOWN)] if may_be_unknown else []
    kind = gr.Radio if len(attribute.levels) <= BUTTONS else gr.Dropdown
    return Control(attribute, kind(choices, value=str(value), label=label))
  low, high = ends(attribute)
  moved = slider(
    low,
    high,
    _display(attribute, value),
    step=step_of(low, high),
    label=f"log10 of {label}" if isinstance(attribute, Log) else label,
  )
  return Control(attribute, moved, _box(label) if may_be_unknown else None)


def ends(attribute: Any) -> tuple[float, float]:
  """Return the lowest and the highest value of a slider."""
  if isinstance(attribute, Angle):
    return 0.0, float(attribute.period)
  if isinstance(attribute, Log):
    return tuple(map(math.log10, attribute.range))
  return tuple(map(float, attribute.range))


def step_of(low: float, high: float) -> float:
  """Return a step of six digits, of which STEPS do not go beyond `high`.

  A slider ends at the last step within its range. So a step that is rounded up
  would leave the high end out.
  """
  exact = (high - low) / STEPS
  step = float(f"{exact:.6g}")
  if step <= exact:
    return step
  last = 10.0 ** (math.floor(math.log10(exact)) - 5)
  return float(f"{step - last:.6g}")


def slider(low: float, high: float, value: float, **more: Any) -> gr.Slider:
  """Put a slider onto the page whose box may be typed into.

  A number outside the range becomes the nearer end, and an empty box becomes
  `value`. Gradio alone would fail there. It is no class of its own, since
  Gradio writes a file beside the code of each new component.
  """
  made = gr.Slider(low, high, value=value, buttons=[], **more)

  def read(given: float | None) -> float:
    return float(min(high, max(low, value if given is None else given)))

  made.preprocess = read
  return made


def _box(label: str) -> gr.Checkbox:
  return gr.Checkbox(False, label=f"{label} unknown")
