"""The panel of handwriting: a drawn digit, ten digits in that hand."""

import gradio as gr

from cvae_jax.apps import handwriting, own_picture
from cvae_jax.apps.explore import markup, photo
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import uploads
from cvae_jax.apps.explore.panels.shared import SLOW

HINT = "Draw a digit on the white sheet; the ten digits in that hand come here."


def writes(opened: Opened) -> bool:
  """Tell whether a run writes digits in a hand."""
  names = [attribute.name for attribute in opened.attributes]
  of_digits = opened.run.config.data.name == "digits"
  return of_digits and opened.reads_photos and "class" in names


def build(opened: Opened) -> None:
  """Put the panel onto the page and connect it."""
  digits = [str(k) for k in range(opened.run.conditions.classes)]
  with gr.Row(equal_height=False):
    with gr.Column(scale=3, min_width=300):
      sheet = uploads.canvas()
      digit = gr.Radio(
        digits,
        value=None,
        label="the digit that it shows",
        info="Found by the model; correct it where it is wrong.",
      )
    with gr.Column(scale=5, min_width=300):
      result = gr.HTML(markup.message(HINT), elem_classes="ex-hand")
  drawn = gr.State(None)

  def show(image, label):
    if image is None or label is None:
      return markup.message(HINT)
    ink, made = handwriting.write(opened.run, image, int(label))
    row = markup.row([(m, str(k)) for k, m in enumerate(made)])
    yours = markup.row([(image, "yours")])
    note = f"Read as {label}, ink {ink:+.2f}. The ten digits in this hand:"
    record = {"run": opened.name, "digit": int(label), "ink": ink}
    links = markup.row_downloads(list(made), record, f"{opened.name}_hand")
    return f"{yours}<p>{note}</p>{row}{links}"

  def read(event: gr.EventData):
    try:
      image = own_picture.fit(opened.run, photo.decode(uploads.content(event)))
    except ValueError as error:
      return None, None, markup.message(str(error))
    label = (photo.guess(opened, image) or {"class": "0"})["class"]
    return image, label, show(image, label)

  def clear():
    return None, None, markup.message(HINT)

  outputs = [drawn, digit, result]
  sheet.upload(read, None, outputs, **SLOW)
  sheet.clear(clear, None, outputs, **SLOW)
  digit.input(show, [drawn, digit], result, **SLOW)
