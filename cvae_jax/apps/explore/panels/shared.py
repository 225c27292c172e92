"""What the panels of one run share: its controls and the current draw."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
from numpy.typing import NDArray

from cvae_jax.apps.explore import markup, pictures
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls
from cvae_jax.apps.explore.panels.controls import Control
from cvae_jax.apps.explore.request import COUNT, Request

QUICK = {"queue": False, "show_progress": "hidden"}
SLOW = {"queue": False, "show_progress": "minimal"}
MOVE = QUICK | {"trigger_mode": "always_last"}  # while a slider is dragged


class Draw:
  """The draw that one open page shows.

  Answers can overtake each other. So each question changes the draw at once,
  and the answer to an older question is not shown.
  """

  def __init__(self) -> None:
    self.seed = 0
    self.pick = 0
    self.moved: dict[int, float] = {}  # latents that were set by hand
    self.newest: Any = None  # stands for the last question

  def change(self, **values: Any) -> Any:
    """Set some values, and return what stands for this question."""
    for name, value in values.items():
      setattr(self, name, value)
    self.newest = question = object()
    return question


class Panel(NamedTuple):
  """What other panels share with this one."""

  opened: Opened
  controls: list[Control]
  inputs: list  # components that say what is asked for
  sliders: list  # of latents
  held: gr.State
  picture: gr.HTML
  new: gr.Button
  reset: gr.Button


def build_request(panel: Panel, given: Sequence[Any], held: Draw) -> Request:
  """Return the request of the controls and the current draw."""
  values = controls.read(panel.controls, given[:-1])
  return Request(values, held.seed, held.pick, held.moved, float(given[-1]))


def update(
  panel: Panel, given: Sequence[Any], held: Draw, **changes: Any
) -> list:
  """Change the draw and return values of the picture and the sliders.

  They stay as they are where a newer question was asked meanwhile.
  """
  question = held.change(**changes)
  shown = update_values(panel, build_request(panel, given, held))
  if held.newest is not question:
    return [gr.skip() for _ in shown]
  return shown


def answer(
  opened: Opened, request: Request, drawn: NDArray, link: bool = True
) -> str:
  """Return a request's answer as HTML: the picture, other draws, links.

  Args:
    drawn: the request's images [COUNT, H, W, C].
    link: whether the address bar is to show the request.
  """
  words = caption(opened, request)
  alt = [f"draw {i + 1} of {COUNT}" for i in range(COUNT)]
  image = drawn[request.pick]
  query = request.to_query(opened.name) if link else ""
  record = {"run": opened.name, **request.to_json()}
  parts = [
    markup.figure(image, words),
    markup.strip(drawn, request.pick, alt, "Other draws"),
    markup.downloads(image, record, f"{opened.name}_{request.seed}"),
  ]
  query = query.replace("&", "&amp;").replace('"', "&quot;")
  return f'<div class="ex-answer" data-query="{query}">{"".join(parts)}</div>'


def caption(opened: Opened, request: Request) -> str:
  """Say a request in words."""
  words = [
    f"{name} unknown"
    if value is None
    else opened.run.conditions.attribute(name).text(value)
    for name, value in request.values.items()
  ]
  return " · ".join([*words, f"draw {request.seed}"])


def update_values(panel: Panel, request: Request, link: bool = True) -> list:
  """Return values of the picture and the sliders."""
  drawn = pictures.draw(panel.opened, request)
  z = drawn.z[request.pick]
  shown = [round(float(z[latent]), 2) for latent in panel.opened.latents]
  return [answer(panel.opened, request, drawn.images, link), *shown]
