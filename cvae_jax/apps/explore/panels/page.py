"""The page: a tab for each run, a tab for each panel."""

import html
from collections.abc import Sequence
from urllib.parse import parse_qsl

import gradio as gr

from cvae_jax.apps.explore import markup
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import (
  about,
  colour,
  compare,
  controls,
  grid,
  hand,
  photos,
  sample,
  shared,
)
from cvae_jax.apps.explore.request import first, from_query


def build(runs: Sequence[Opened]) -> gr.Blocks:
  """Build the page of one or more runs."""
  with gr.Blocks(analytics_enabled=False, title="Explore") as page:
    names = [opened.name for opened in runs]
    if len(runs) == 1:
      _run(page, runs[0], names)
      return page
    with gr.Tabs() as tabs:
      for number, opened in enumerate(runs):
        with gr.Tab(opened.name, id=number):
          _run(page, opened, names)
      drawing = [opened for opened in runs if not opened.colours]
      if len(drawing) > 1:
        with gr.Tab("Side by side", id=len(runs)):
          compare.build(page, drawing)
    _choose(page, tabs, names)
  return page


def _run(page: gr.Blocks, opened: Opened, names: Sequence[str]) -> None:
  """Put the panels of one of the runs of these names onto the page."""
  gr.HTML(_head(opened))
  with gr.Tabs():
    if opened.colours:
      with gr.Tab("Colour a photo"):
        colour.build(opened)
    else:
      with gr.Tab("Samples"):
        panel = sample.build(opened)
      _restore(page, panel, names)
      if opened.attributes:
        with gr.Tab("Grid") as tab:
          grid.build(panel, tab)
      if opened.reads_photos:
        with gr.Tab("Your picture"):
          photos.build(panel)
      if hand.writes(opened):
        with gr.Tab("Handwriting"):
          hand.build(opened)
    with gr.Tab("About the run") as tab:
      about.build(opened, tab)


def _restore(
  page: gr.Blocks, panel: shared.Panel, names: Sequence[str]
) -> None:
  """Show the state of the link by which the page was opened."""

  def load(held: shared.Draw, request: gr.Request):
    query = _query(request)
    asked = first(panel.opened)
    wrong = ""
    name = dict(query).get("run", names[0])
    if name not in names:
      wrong = markup.message(
        f"This link is of the run {name!r}, which is not open here; open are "
        + ", ".join(names)
      )
    elif query and name == panel.opened.name:
      try:
        asked = from_query(panel.opened, query)
      except ValueError as error:
        wrong = markup.message(f"This link cannot be shown: {error}")
    shown = controls.write(panel.controls, asked.values)
    held.change(seed=asked.seed, pick=asked.pick, moved=dict(asked.moved))
    picture, *rest = shared.update_values(panel, asked, link=False)
    return [*shown, asked.guidance, wrong + picture, *rest]

  outputs = [*panel.inputs, panel.picture, *panel.sliders]
  page.load(load, panel.held, outputs, **shared.QUICK)


def _choose(page: gr.Blocks, tabs: gr.Tabs, names: Sequence[str]) -> None:
  """Open the tab of the run that the link names."""

  def load(request: gr.Request):
    name = dict(_query(request)).get("run")
    return gr.Tabs(selected=names.index(name)) if name in names else gr.skip()

  page.load(load, None, tabs, **shared.QUICK)


def _query(request: gr.Request) -> list[tuple[str, str]]:
  return parse_qsl(str(request.query_params), keep_blank_values=True)


def _head(opened: Opened) -> str:
  """Say which run this is."""
  run = opened.run
  asked = ", ".join(a.name for a in opened.attributes)
  words = [
    str(run.config.get("name", "")),
    f"system {run.config.system}",
    f"conditions: {asked}" if asked else "no condition",
    f"{len(opened.spans)} latents" if len(opened.spans) else "",
    f"trained for {int(run.state.step):,} steps",
  ]
  text = " · ".join(filter(None, words))
  return (
    f'<div class="ex-head"><h1>{html.escape(opened.name)}</h1>'
    f"<p>{html.escape(text)}</p></div>"
  )
