"""The panel of samples: conditions, a draw, and its most active latents."""

import functools

import gradio as gr

from cvae_jax.apps.explore import markup
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls, plane
from cvae_jax.apps.explore.panels.shared import (
  MOVE,
  QUICK,
  Panel,
  answer,
  build_request,
  update_values,
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
  held = gr.State({"seed": 0, "pick": 0, "moved": {}})
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
  outputs = [panel.picture, panel.held, *panel.sliders]
  controls.connect(panel.controls, **QUICK)

  def move(hold, held, *given):
    if hold:
      shown = answer(panel.opened, build_request(panel, given, held))
      return [shown, held, *[gr.skip() for _ in panel.sliders]]
    return redraw(held, *given)

  def slide(index, value, held, *given):
    latent = panel.opened.latents[index]
    held = held | {"moved": {**held["moved"], latent: round(value, 4)}}
    return answer(panel.opened, build_request(panel, given, held)), held

  def redraw(held, *given):
    held = {"seed": (held["seed"] + 1) % SEEDS, "pick": 0, "moved": {}}
    return update_values(panel, build_request(panel, given, held))

  def release(held, *given):
    held = held | {"moved": {}}
    return update_values(panel, build_request(panel, given, held))

  def pick(event: gr.EventData, held, *given):
    held = held | {"pick": int(event.pick) % COUNT, "moved": {}}
    return update_values(panel, build_request(panel, given, held))

  few = [panel.picture, panel.held]
  for component in panel.inputs:
    component.input(move, [hold, panel.held, *panel.inputs], outputs, **MOVE)
  for index, slider in enumerate(panel.sliders):
    slider.input(
      functools.partial(slide, index),
      [slider, panel.held, *panel.inputs],
      few,
      **MOVE,
    )
  panel.new.click(redraw, [panel.held, *panel.inputs], outputs, **QUICK)
  panel.reset.click(release, [panel.held, *panel.inputs], outputs, **QUICK)
  panel.picture.select(pick, [panel.held, *panel.inputs], outputs, **QUICK)
