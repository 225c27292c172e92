"""The panel of a run's files: curves, scores, settings."""

import html

import gradio as gr

from cvae_jax.apps.explore import history, markup
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels.shared import QUICK


def build(opened: Opened, tab: gr.Tab) -> None:
  """Put the panel onto the page; its files are read when it is opened."""
  curves = gr.HTML(markup.message(markup.WAIT))
  scores = gr.HTML()
  with gr.Accordion("Settings", open=False):
    gr.HTML(_text(history.settings(opened)))

  def show():
    return _curves(opened), _scores(opened)

  tab.select(show, None, [curves, scores], **QUICK)


def _curves(opened: Opened) -> str:
  shown = history.curves(history.load_rows(opened))
  if not shown:
    return markup.message("This run has no curves.")
  source = markup.address(history.draw(shown).encode(), "image/svg+xml")
  keys = "".join(
    f'<span class="ex-key" style="--key:{colour}">{html.escape(words)}</span>'
    for words, colour in history.legend(shown)
  )
  names = ", ".join(shown)
  return (
    f"<h3>Curves</h3><p>{keys}</p>"
    f'<img class="ex-curves" src="{source}" '
    f'alt="Curves of {html.escape(names)} by epoch">'
  )


def _scores(opened: Opened) -> str:
  try:
    text = history.scores(opened)
  except ValueError as error:
    return markup.message(str(error).replace(str(opened.run.folder), "…"))
  if text is None:
    return "<h3>Scores</h3>" + markup.message(
      "There are no scores of this state yet. This command measures them: "
      f"cvae-jax evaluate --workdir=…/{opened.name}"
    )
  return "<h3>Scores</h3>" + _text(text)


def _text(text: str) -> str:
  """Return text of fixed width, which scrolls where it is wider than a page."""
  return (
    '<div class="ex-scroll" tabindex="0" role="region" aria-label="Text">'
    f"<pre>{html.escape(text)}</pre></div>"
  )
