"""The page: a tab for each run, a tab for each panel."""

import html
from collections.abc import Sequence
from urllib.parse import parse_qsl

import gradio as gr

from cvae_jax.apps.explore import controls, markup, sample
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.request import first, from_query


def build(runs: Sequence[Opened]) -> gr.Blocks:
  """Build the page of one or more runs."""
  with gr.Blocks(analytics_enabled=False, title="Explore") as page:
    if len(runs) == 1:
      _run(page, runs[0])
    else:
      with gr.Tabs():
        for opened in runs:
          with gr.Tab(opened.name):
            _run(page, opened)
  return page


def _run(page: gr.Blocks, opened: Opened) -> None:
  """Put the panels of one run onto the page."""
  gr.HTML(_head(opened))
  with gr.Tabs():
    with gr.Tab("Samples"):
      panel = sample.build(opened)
  _restore(page, panel)


def _restore(page: gr.Blocks, panel: sample.Panel) -> None:
  """Show the state of the link by which the page was opened."""

  def load(request: gr.Request):
    query = parse_qsl(str(request.query_params), keep_blank_values=True)
    asked = first(panel.opened)
    if dict(query).get("run") == panel.opened.name:
      try:
        asked = from_query(panel.opened, query)
      except ValueError as error:
        gr.Warning(f"This link cannot be shown: {html.escape(str(error))}")
    shown = controls.write(panel.controls, asked.values)
    found = sample.everything(panel, asked, link=False)
    return [*shown, asked.guidance, *found]

  outputs = [*panel.inputs, panel.picture, panel.held, *panel.sliders]
  page.load(load, None, outputs, queue=False, show_progress="hidden")


def _head(opened: Opened) -> str:
  """Say which run this is."""
  run = opened.run
  asked = ", ".join(a.name for a in opened.attributes) or "no condition"
  words = [
    str(run.config.get("name", "")) or run.config.system,
    f"system {run.config.system}",
    f"asked for {asked}",
    f"{len(opened.spans)} latents",
    f"step {int(run.state.step):,}",
  ]
  text = " · ".join(words)
  return (
    f'<div class="ex-head"><h1>{html.escape(opened.name)}</h1>'
    f"<p>{html.escape(text)}</p></div>"
  )


__all__ = ["build", "markup"]
