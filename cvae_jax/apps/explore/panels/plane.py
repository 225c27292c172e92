"""A map of two latents: a click takes the picture there."""

import html

import gradio as gr
import numpy as np

from cvae_jax.apps.explore import markup, pictures
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels.shared import (
  MOVE,
  QUICK,
  Panel,
  build_request,
  update,
)
from cvae_jax.apps.explore.request import Request
from cvae_jax.host import images

# The mark moves at once; the map itself stays as it is.
_SCRIPT = """
const go = (map, x, y) => {
  [x, y] = [x, y].map((v) => Math.min(1, Math.max(0, v)));
  const mark = map.querySelector('.ex-mark');
  mark.style.left = 100 * x + '%'; mark.style.top = 100 * y + '%';
  trigger('select', {x: x, y: y});
};
element.addEventListener('click', (event) => {
  const map = event.target.closest('.ex-plane');
  if (!map) return;
  const box = map.getBoundingClientRect();
  go(map, (event.clientX - box.left) / box.width,
     (event.clientY - box.top) / box.height);
});
element.addEventListener('keydown', (event) => {
  const map = event.target.closest('.ex-plane');
  const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
               ArrowDown: [0, 1]}[event.key];
  if (!map || !way) return;
  event.preventDefault();
  const mark = map.querySelector('.ex-mark');
  const step = 1 / map.dataset.steps;
  go(map, parseFloat(mark.style.left) / 100 + step * way[0],
     parseFloat(mark.style.top) / 100 + step * way[1]);
});
"""

SMALL = 32  # pixels a side of which a map is drawn in a few milliseconds


def build(opened: Opened):
  """Put the map and its choices onto the page."""
  choices = [(f"latent {latent}", latent) for latent in opened.latents]
  with gr.Row():
    across = gr.Dropdown(
      choices, value=choices[0][1], label="to the right", min_width=110
    )
    up = gr.Dropdown(
      choices, value=choices[1][1], label="upwards", min_width=110
    )
  return across, up, gr.HTML(js_on_load=_SCRIPT)


def connect(panel: Panel, tab, across, up, chart) -> None:
  """Connect the map with the panel of samples beside it."""
  opened = panel.opened
  seen = gr.State(False)
  state = [across, up, panel.held, *panel.inputs]

  def show(across, up, held, *given):
    try:
      request = build_request(panel, given, held)
      return draw(opened, request, across, up)
    except ValueError as error:
      return markup.message(str(error))

  def open_plane(*state):
    return True, show(*state)

  def refresh(seen, *state):
    return show(*state) if seen else gr.skip()

  def go(event: gr.EventData, across, up, held, *given):
    if across == up:
      return [gr.skip()] * (1 + len(panel.sliders))
    x, y = (min(1.0, max(0.0, float(v))) for v in (event.x, event.y))
    moved = {
      across: latent_value(opened, across, x),
      up: latent_value(opened, up, 1.0 - y),
    }
    return update(panel, given, held, moved=held.moved | moved)

  outputs = [panel.picture, *panel.sliders]
  tab.select(open_plane, state, [seen, chart], **QUICK)
  for choice in (across, up):
    choice.input(show, state, chart, **QUICK)
  # With small pictures the map follows a slider while it is dragged.
  late = max(opened.shape[:2]) > SMALL
  moves = [
    getattr(part, "release", part.input) if late else part.input
    for part in panel.inputs
  ]
  moves += [panel.new.click, panel.reset.click, panel.picture.select]
  for move in moves:
    move(refresh, [seen, *state], chart, **MOVE)
  chart.select(go, state, outputs, **QUICK)


def draw(opened: Opened, request: Request, across: int, up: int) -> str:
  """Return the map as HTML, with a mark where the picture is."""
  steps = pictures.plane_steps(opened)
  sheet = pictures.plane(opened, request, across, up, steps)
  z = pictures.latents(opened, request)[request.pick]
  x = place(opened, across, z[across])
  y = 1.0 - place(opened, up, z[up])
  name = f"map of latents {across} and {up}"
  image = images.grid(sheet.images, gap=0)
  return (
    f'<div class="ex-plane" tabindex="0" role="application" '
    f'data-steps="{steps}" aria-label="{html.escape(name)}: click, or move '
    f'with the arrow keys">{markup.image_tag(image, name)}'
    f'<span class="ex-mark" style="left:{x:.2%};top:{y:.2%}"></span></div>'
    f'<div class="ex-axes"><span>latent {across}: '
    f"{sheet.columns[0]:.1f} to {sheet.columns[-1]:.1f} →</span>"
    f"<span>latent {up}: {sheet.rows[-1]:.1f} to {sheet.rows[0]:.1f} ↑"
    "</span></div>"
  )


def latent_value(opened: Opened, latent: int, share: float) -> float:
  """Return a latent's value at a share of the map's width."""
  steps = pictures.plane_steps(opened)
  values = pictures.latent_values(opened, latent, steps)
  middle = share * steps - 0.5  # the middle of the first picture is 0
  return round(float(values[0] + middle * (values[1] - values[0])), 3)


def place(opened: Opened, latent: int, value: float) -> float:
  """Return the share of the map's width of a latent's value."""
  steps = pictures.plane_steps(opened)
  values = pictures.latent_values(opened, latent, steps)
  share = ((value - values[0]) / (values[1] - values[0]) + 0.5) / steps
  return float(np.clip(share, 0, 1))
