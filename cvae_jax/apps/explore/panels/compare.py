"""The panel of several runs side by side, asked for the same."""

import html
from collections.abc import Sequence

import gradio as gr

from cvae_jax.apps.explore import comparison, markup
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls
from cvae_jax.apps.explore.panels.shared import MOVE, QUICK
from cvae_jax.apps.explore.request import first
from cvae_jax.settings import SEEDS


def build(page: gr.Blocks, runs: Sequence[Opened]) -> None:
  """Put the panel onto the page and connect it."""
  with gr.Row(equal_height=False):
    with gr.Column(scale=3, min_width=300):
      made = controls.add_controls(
        comparison.common_attributes(runs),
        first(runs[0]).values,
        set.intersection(*(set(opened.run.unknowns) for opened in runs)),
      )
      if not made:
        gr.HTML(markup.message("These runs share no condition."))
      new = gr.Button("New draw", variant="primary")
    with gr.Column(scale=6, min_width=300):
      result = gr.HTML(markup.message(markup.WAIT))
  controls.connect(made, **QUICK)
  seed = gr.State(0)
  inputs = controls.components(made)

  def show(seed, *given):
    values = controls.read(made, given)
    return "".join(_one(opened, values, seed) for opened in runs)

  def redraw(seed, *given):
    seed = (seed + 1) % SEEDS
    return seed, show(seed, *given)

  page.load(show, [seed, *inputs], result, **QUICK)
  for part in inputs:
    part.input(show, [seed, *inputs], result, **MOVE)
  new.click(redraw, [seed, *inputs], [seed, result], **QUICK)


def _one(opened: Opened, values, seed: int) -> str:
  """Return one run's samples under its name."""
  images, own = comparison.samples(opened, values, seed)
  name = opened.run.conditions.attribute
  rest = ", ".join(name(key).text(value) for key, value in own.items())
  note = f" <small>at {html.escape(rest)}</small>" if rest else ""
  cells = "".join(
    f"<td>{markup.image_tag(image, f'{opened.name}, draw {i + 1}')}</td>"
    for i, image in enumerate(images)
  )
  record = {"run": opened.name, "values": {**values, **own}, "seed": seed}
  links = markup.row_downloads(list(images), record, f"{opened.name}_{seed}")
  return (
    f'<section class="ex-run"><h3>{html.escape(opened.name)}{note}</h3>'
    '<div class="ex-scroll" tabindex="0">'
    '<table class="ex-grid" style="--n:12">'
    f"<tr>{cells}</tr></table></div>{links}</section>"
  )
