"""The panel of samples: conditions, a draw, and its most active latents."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from cvae_jax.apps.explore import controls, markup, pictures
from cvae_jax.apps.explore.controls import Control
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.request import COUNT, GUIDANCE, Request, first
from cvae_jax.settings import SEEDS

QUICK = {"queue": False, "show_progress": "hidden"}
MOVE = QUICK | {"trigger_mode": "always_last"}  # while a slider is dragged

# A link in the address bar follows each move; the buttons of the strip and of
# the link work by mouse and keyboard, and the focus stays on what was pressed.
SCRIPT = """
let again = false;
element.addEventListener('click', (event) => {
  const draw = event.target.closest('[data-pick]');
  if (draw) { again = true; trigger('select', {pick: +draw.dataset.pick}); }
  const copy = event.target.closest('.ex-copy');
  if (!copy) return;
  const said = (text) => { copy.textContent = text; };
  navigator.clipboard?.writeText(location.href).then(
    () => said('Copied'), () => said('Copy it from the address bar'));
});
watch('value', () => {
  const found = element.querySelector('[data-query]');
  if (found?.dataset.query) {
    history.replaceState(null, '', '?' + found.dataset.query);
  }
  if (again) element.querySelector('[aria-pressed="true"]')?.focus();
  again = false;
});
"""


class Panel(NamedTuple):
  """What other panels share with this one."""

  opened: Opened
  controls: list[Control]
  inputs: list  # components that say what is asked for
  sliders: list  # of latents
  held: gr.State
  picture: gr.HTML


def build(opened: Opened) -> Panel:
  """Put the panel onto the page and connect it."""
  asked = first(opened)
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      made = controls.build(opened, asked.values)
      guidance = gr.Slider(
        *GUIDANCE,
        value=1.0,
        step=0.1,
        label="guidance: above 1 exaggerates the conditions",
        visible=opened.unknowns and bool(made),
      )
      if not made:
        gr.HTML(markup.message("This run reads no condition."))
    with gr.Column(scale=4, min_width=300):
      picture = gr.HTML(js_on_load=SCRIPT, elem_classes="ex-picture")
      with gr.Row():
        new = gr.Button("New draw", variant="primary", min_width=120)
        reset = gr.Button("Reset latents", min_width=120)
      hold = gr.Checkbox(
        True, label="Hold the draw while conditions move", container=False
      )
    with gr.Column(scale=3, min_width=260):
      sliders = _latents(opened)
  held = gr.State({"seed": 0, "pick": 0, "moved": {}})
  inputs = [*controls.components(made), guidance]
  panel = Panel(opened, made, inputs, sliders, held, picture)
  _connect(panel, new, reset, hold)
  return panel


def request_of(panel: Panel, given: Sequence[Any], held: Mapping) -> Request:
  """Return what the controls and the held draw ask for."""
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


def everything(panel: Panel, request: Request, link: bool = True) -> list:
  """Return values of picture, held draw and sliders."""
  z = pictures.latents(panel.opened, request)[request.pick]
  held = {
    "seed": request.seed,
    "pick": request.pick,
    "moved": dict(request.moved),
  }
  shown = [float(z[latent]) for latent in panel.opened.latents]
  return [answer(panel.opened, request, link), held, *shown]


def _latents(opened: Opened) -> list:
  """Put a slider for each of the most active latents onto the page."""
  shown = opened.latents
  with gr.Accordion(f"The {len(shown)} most active latents", open=True):
    return [
      gr.Slider(
        *map(float, opened.spans[latent]),
        value=0.0,
        step=0.05,
        label=f"latent {latent}",
      )
      for latent in shown
    ]


def _connect(panel: Panel, new, reset, hold) -> None:
  """Connect what a person does with what the page shows."""
  outputs = [panel.picture, panel.held, *panel.sliders]

  def move(hold, held, *given):
    if hold:
      return answer(panel.opened, request_of(panel, given, held)), held
    held = held | {"seed": (held["seed"] + 1) % SEEDS, "moved": {}}
    return answer(panel.opened, request_of(panel, given, held)), held

  def slide(index, value, held, *given):
    latent = panel.opened.latents[index]
    held = held | {"moved": {**held["moved"], latent: round(value, 4)}}
    return answer(panel.opened, request_of(panel, given, held)), held

  def again(held, *given):
    held = {"seed": (held["seed"] + 1) % SEEDS, "pick": 0, "moved": {}}
    return everything(panel, request_of(panel, given, held))

  def release(held, *given):
    held = held | {"moved": {}}
    return everything(panel, request_of(panel, given, held))

  def pick(event: gr.EventData, held, *given):
    held = held | {"pick": int(event.pick) % COUNT, "moved": {}}
    return everything(panel, request_of(panel, given, held))

  few = [panel.picture, panel.held]
  for component in panel.inputs:
    component.input(move, [hold, panel.held, *panel.inputs], few, **MOVE)
  for index, slider in enumerate(panel.sliders):
    slider.input(
      functools.partial(slide, index),
      [slider, panel.held, *panel.inputs],
      few,
      **MOVE,
    )
  new.click(again, [panel.held, *panel.inputs], outputs, **QUICK)
  reset.click(release, [panel.held, *panel.inputs], outputs, **QUICK)
  panel.picture.select(pick, [panel.held, *panel.inputs], outputs, **QUICK)
