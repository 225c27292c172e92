"""The panel of one's own picture: reconstruct, change, walk to another."""

import gradio as gr

from cvae_jax.apps.explore import markup, photo, pictures
from cvae_jax.apps.explore.panels import controls, uploads
from cvae_jax.apps.explore.panels.shared import QUICK, Panel, request_of
from cvae_jax.apps.explore.request import first
from cvae_jax.host import images

SAMPLE = "Take the picture of the tab Samples"


def build(panel: Panel) -> None:
  """Put the panel onto the page and connect it."""
  opened = panel.opened
  start = first(opened).values
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      place = uploads.place("Your picture")
      take = gr.Button(SAMPLE, size="sm")
      if opened.attributes:
        gr.HTML("<h3>What it shows</h3>")
      own = controls.build(opened, start)
    with gr.Column(scale=4, min_width=300):
      result = gr.HTML(
        markup.message("Choose a picture to see what the run makes of it."),
        elem_classes="ex-few",
      )
      if opened.attributes:
        gr.HTML("<h3>What it is to show</h3>")
      wanted = controls.build(opened, start)
  gr.HTML("<h3>Walk to another picture</h3>")
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      other_place = uploads.place("The other picture")
      other_take = gr.Button(SAMPLE, size="sm")
    with gr.Column(scale=4, min_width=300):
      walk = gr.HTML(
        markup.message("Give two pictures to walk between."),
        elem_classes="ex-walk",
      )
  first_state = gr.State(None)
  second_state = gr.State(None)

  inputs = controls.components(own)
  changed = controls.components(wanted)

  def values(given):
    count = len(inputs)
    return (
      controls.read(own, given[:count]),
      controls.read(wanted, given[count : 2 * count]),
    )

  def show(image, *given):
    if image is None:
      return gr.skip()
    shows, shall = values(given)
    try:
      made = photo.edit(opened, image, shows, shall)
    except ValueError as error:
      return markup.message(str(error))
    names = ("as the run reads it", "reconstruction", "changed")
    some = names if opened.attributes else names[:2]
    row = markup.row(list(zip([image, *made], some, strict=False)))
    record = {"run": opened.name, "shows": shows, "changed": shall}
    last = made[len(some) - 2]
    return row + markup.downloads(
      images.to_bytes(last), record, f"{opened.name}_changed", link=False
    )

  def steps(image, other, *given):
    if image is None or other is None:
      return gr.skip()
    shows, shall = values(given)
    there = photo.guess(opened, other) or shall
    try:
      made = photo.walk(opened, (image, other), (shows, there))
    except ValueError as error:
      return markup.message(str(error))
    numbers = ["yours", *map(str, range(2, len(made))), "the other"]
    return markup.row(list(zip(made, numbers, strict=True)))

  def read(image):
    """Take a picture in: its state, and controls at what it shows."""
    found = photo.guess(opened, image)
    moved = [gr.skip()] * len(inputs)
    if found is not None:
      moved = controls.write(own, found)
    return [image, *moved, *moved]

  def upload(event: gr.EventData):
    image, wrong = _read(opened, event)
    if image is None:
      return [None, *[gr.skip()] * (2 * len(inputs)), markup.message(wrong)]
    return [*read(image), gr.skip()]

  def sampled(held, *given):
    request = request_of(panel, given, held)
    drawn = pictures.draw(opened, request).images[request.pick]
    return images.to_bytes(drawn)

  def from_sample(held, *given):
    return read(sampled(held, *given))

  def second(event: gr.EventData):
    image, wrong = _read(opened, event)
    return image, gr.skip() if image is not None else markup.message(wrong)

  state = [first_state, *inputs, *changed]
  ends = [first_state, second_state, *inputs, *changed]
  asked = [panel.held, *panel.inputs]

  def follow(event):
    event.then(show, state, result, **QUICK).then(steps, ends, walk, **QUICK)

  follow(place.upload(upload, None, [*state, result], **QUICK))
  follow(take.click(from_sample, asked, state, **QUICK))
  for event in (
    other_place.upload(second, None, [second_state, walk], **QUICK),
    other_take.click(sampled, asked, second_state, **QUICK),
  ):
    event.then(steps, ends, walk, **QUICK)
  for part in (*inputs, *changed):
    part.input(show, state, result, **QUICK)
  for part in inputs:
    getattr(part, "release", part.input)(steps, ends, walk, **QUICK)


def _read(opened, event: gr.EventData):
  """Return an upload as the run reads it, or None and what is wrong."""
  try:
    return photo.fit(opened, photo.decode(uploads.content(event))), ""
  except ValueError as error:
    return None, str(error)
