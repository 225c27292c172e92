"""A grid over two conditions, or over one and several draws."""

import gradio as gr

from cvae_jax.apps.explore import markup, pictures
from cvae_jax.apps.explore.panels.shared import QUICK, Panel, build_request
from cvae_jax.host import images

DRAWS = "\x00draws"  # is no condition's name


def build(panel: Panel, tab: gr.Tab) -> None:
  """Put the grid onto the page and connect it."""
  opened = panel.opened
  names = [attribute.name for attribute in opened.attributes]
  with gr.Row():
    down = gr.Dropdown(
      [*names, ("draws", DRAWS)],
      value=names[1] if len(names) > 1 else DRAWS,
      label="from top to bottom",
      min_width=140,
    )
    across = gr.Dropdown(
      names, value=names[0], label="from left to right", min_width=140
    )
  gr.HTML(
    '<p class="ex-note">All other conditions, and the draw, are those of the '
    "tab Samples.</p>"
  )
  sheet = gr.HTML(markup.message(markup.WAIT))

  def show(down, across, held, *given):
    request = build_request(panel, given, held)
    try:
      found = (
        pictures.draws(opened, request, across)
        if down == DRAWS
        else pictures.grid(opened, request, down, across)
      )
    except ValueError as error:
      return markup.message(str(error))
    record = {"run": opened.name, "down": down, "across": across}
    record["down"] = "draws" if down == DRAWS else down
    record |= request.to_json()
    return markup.table(
      found.images, found.rows, found.columns
    ) + markup.downloads(
      images.grid(found.images), record, f"{opened.name}_grid", link=False
    )

  state = [down, across, panel.held, *panel.inputs]
  tab.select(show, state, sheet, **QUICK)
  for choice in (down, across):
    choice.input(show, state, sheet, **QUICK)
