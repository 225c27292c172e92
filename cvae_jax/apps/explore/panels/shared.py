"""What the panels of one run share: its controls and the current draw."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from cvae_jax.apps.explore import markup, pictures
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls
from cvae_jax.apps.explore.panels.controls import Control
from cvae_jax.apps.explore.request import COUNT, Request

QUICK = {"queue": False, "show_progress": "hidden"}
SLOW = {"queue": False, "show_progress": "minimal"}
MOVE = QUICK | {"trigger_mode": "always_last"}  # while a slider is dragged


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


def build_request(panel: Panel, given: Sequence[Any], held: Mapping) -> Request:
  """Return the request of the controls and the current draw."""
  values = controls.read(panel.controls, given[:-1])
  return Request(
    values, held["seed"], held["pick"], held["moved"], float(given[-1])
  )


def answer(opened: Opened, request: Request, link: bool = True) -> str:
  """Return a request's answer as HTML: the picture, other draws, links."""
  drawn = pictures.draw(opened, request)
  words = caption(opened, request)
  alt = [f"draw {i + 1} of {COUNT}" for i in range(COUNT)]
  image = drawn.images[request.pick]
  query = request.to_query(opened.name) if link else ""
  record = {"run": opened.name, **request.to_json()}
  parts = [
    markup.figure(image, words),
    markup.strip(drawn.images, request.pick, alt, "Other draws"),
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
  """Return values of the picture, the current draw and the sliders."""
  z = pictures.latents(panel.opened, request)[request.pick]
  held = {
    "seed": request.seed,
    "pick": request.pick,
    "moved": dict(request.moved),
  }
  shown = [round(float(z[latent]), 2) for latent in panel.opened.latents]
  return [answer(panel.opened, request, link), held, *shown]
