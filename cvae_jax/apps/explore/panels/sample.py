"""The panel of samples: conditions, a draw, and its most active latents."""

import functools

import gradio as gr

from cvae_jax.apps.explore import markup
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls, plane
from cvae_jax.apps.explore.panels.shared import (
  MOVE,
  QUICK,
  Draw,
  Panel,
  update,
)
from cvae_jax.apps.explore.request import COUNT, GUIDANCE, first
from cvae_jax.settings import SEEDS

# A link in the address bar follows each move; the buttons of the strip and of
# the link work by mouse and keyboard. Each answer makes the strip anew, and the
# draw that had the focus gets it again.
SCRIPT = """
let focused = null;
element.addEventListener('focusin', (event) => {
  focused = event.target.dataset.pick ?? null;
});
element.addEventListener('focusout', (event) => {
  if (event.relatedTarget) focused = null;
});
element.addEventListener('click', (event) => {
  const draw = event.target.closest('[data-pick]');
  if (draw) {
    focused = draw.dataset.pick;
    trigger('select', {pick: +focused});
  }
  const copy = event.target.closest('.ex-copy');
  if (!copy) return;
  const said = (text) => { copy.textContent = text; };
  navigator.clipboard?.writeText(location.href).then(
    () => said('Copied'), () => said('Copy it from the address bar'));
});
let shown = '';
new MutationObserver(() => {
  if (focused !== null && document.activeElement === document.body)
    element.querySelector(`[data-pick="${focused}"]`)
      ?.focus({preventScroll: true});
  const query = element.querySelector('[data-query]')?.dataset.query || '';
  if (query === shown) return;
  shown = query;
  if (query) history.replaceState(null, '', '?' + query);
}).observe(element, {childList: true, subtree: true, attributes: true});
"""


def build(opened: Opened) -> Panel:
  """Put the panel onto the page and connect it."""
  asked = first(opened)
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      made = controls.build(opened, asked.values)
      guidance = controls.slider(
        *GUIDANCE,
        1.0,
        step=0.1,
        label="guidance: above 1 exaggerates the conditions",
        visible=opened.run.takes_guidance and bool(made),
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
    with gr.Column(scale=4, min_width=300), gr.Tabs():
      with gr.Tab("Most active latents"):
        sliders = _latents(opened)
      if len(opened.latents) > 1:
        with gr.Tab("Map of two") as tab:
          chart = plane.build(opened)
  held = gr.State(Draw())
  inputs = [*controls.components(made), guidance]
  panel = Panel(opened, made, inputs, sliders, held, picture, new, reset)
  _connect(panel, hold)
  if len(opened.latents) > 1:
    plane.connect(panel, tab, *chart)
  return panel


def _latents(opened: Opened) -> list:
  """Put a slider for each of the most active latents onto the page."""
  return [
    controls.slider(
      *map(float, opened.spans[latent]),
      0.0,
      step=0.01,
      precision=2,
      label=f"latent {latent}",
    )
    for latent in opened.latents
  ]


def _connect(panel: Panel, hold) -> None:
  """Connect what a person does with what the page shows."""
  asked = [panel.held, *panel.inputs]
  outputs = [panel.picture, *panel.sliders]
  controls.connect(panel.controls, **QUICK)

  def move(hold, held, *given):
    return update(panel, given, held) if hold else redraw(held, *given)

  def slide(index, value, held, *given):
    moved = held.moved | {panel.opened.latents[index]: round(value, 4)}
    # The picture alone: the other sliders may be moving.
    return update(panel, given, held, moved=moved)[0]

  def redraw(held, *given):
    seed = (held.seed + 1) % SEEDS
    return update(panel, given, held, seed=seed, pick=0, moved={})

  def release(held, *given):
    return update(panel, given, held, moved={})

  def pick(event: gr.EventData, held, *given):
    return update(panel, given, held, pick=int(event.pick) % COUNT, moved={})

  for component in panel.inputs:
    component.input(move, [hold, *asked], outputs, **MOVE)
  for index, slider in enumerate(panel.sliders):
    slider.input(
      functools.partial(slide, index), [slider, *asked], panel.picture, **MOVE
    )
  panel.new.click(redraw, asked, outputs, **QUICK)
  panel.reset.click(release, asked, outputs, **QUICK)
  panel.picture.select(pick, asked, outputs, **QUICK)
