"""The panel of a colouring run: a photo in several ways."""

import gradio as gr
import numpy as np

from cvae_jax.apps import colourise
from cvae_jax.apps.explore import markup, photo
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import uploads
from cvae_jax.apps.explore.panels.shared import SLOW
from cvae_jax.data.files import decoding
from cvae_jax.settings import SEEDS

WAYS = 5
SIDE = 640  # pixels of the longer side of what is coloured
HINT = "Choose a photo; its colours are taken away and drawn anew."


def build(opened: Opened) -> None:
  """Put the panel onto the page and connect it."""
  with gr.Row(equal_height=False):
    with gr.Column(scale=2, min_width=280):
      place = uploads.place("A photo to colour")
      new = gr.Button("New draw", variant="primary")
      if note := colourise.caution(opened.run):
        gr.HTML(markup.message(_describe(note, opened)))
    with gr.Column(scale=6, min_width=300):
      result = gr.HTML(markup.message(HINT), elem_classes="ex-wide")
  kept = gr.State(None)
  seed = gr.State(0)

  def show(image, seed):
    if image is None:
      return markup.message(HINT)
    found = colourise.colourise(opened.run, image, WAYS, seed)
    grey = np.repeat(found.grey[..., None], 3, axis=-1)
    shown = [(grey, "without colour")]
    shown += [(v, f"draw {i + 1}") for i, v in enumerate(found.variants)]
    if found.photo is not None:
      shown.append((found.photo, "the photo itself"))
    record = {"run": opened.name, "seed": seed, "count": WAYS}
    return markup.row(shown) + markup.row_downloads(
      [picture for picture, _ in shown], record, f"{opened.name}_{seed}"
    )

  def read(event: gr.EventData, seed):
    try:
      picture = photo.decode(uploads.content(event))
    except ValueError as error:
      return None, markup.message(str(error))
    picture.thumbnail((SIDE, SIDE))
    image = decoding.lay_on_white(picture)
    return image, show(image, seed)

  def redraw(image, seed):
    seed = (seed + 1) % SEEDS
    return seed, show(image, seed)

  place.upload(read, seed, [kept, result], **SLOW)
  new.click(redraw, [kept, seed], [seed, result], **SLOW)


def _describe(note: str, opened: Opened) -> str:
  """Return a note without the folder that it names."""
  return note.removeprefix("note: ").replace(str(opened.run.folder), "this run")
