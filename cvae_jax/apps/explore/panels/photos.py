"""The panel of one's own picture: reconstruct, change, walk to another."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from numpy.typing import NDArray

from cvae_jax.apps import own_picture
from cvae_jax.apps.explore import markup, photo, pictures
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.panels import controls, uploads
from cvae_jax.apps.explore.panels.controls import Control
from cvae_jax.apps.explore.panels.shared import QUICK, Panel, build_request
from cvae_jax.apps.explore.request import first
from cvae_jax.host import images

SAMPLE = "Use the picture from the tab Samples"
FIRST = "Choose a picture to see what the run makes of it."
BOTH = "Give two pictures to walk between."
SHOWN = ("as the run reads it", "reconstruction", "changed")


class _Parts(NamedTuple):
  """What the panel consists of."""

  own: list[Control]  # what the picture shows
  wanted: list[Control]  # what it is to show
  place: gr.HTML
  take: gr.Button
  result: gr.HTML
  other_place: gr.HTML
  other_take: gr.Button
  walk: gr.HTML


def build(panel: Panel) -> None:
  """Put the panel onto the page and connect it."""
  opened = panel.opened
  start = first(opened).values
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      place = uploads.place("Your picture")
      take = gr.Button(SAMPLE, size="sm")
      if opened.attributes:
        gr.HTML(
          "<h3>What it shows</h3>"
          f"<p class='ex-note'>{_describe_source(opened)}</p>"
        )
      own = controls.build(opened, start)
    with gr.Column(scale=4, min_width=300):
      result = gr.HTML(markup.message(FIRST), elem_classes="ex-few")
      if opened.attributes:
        gr.HTML("<h3>What it is to show</h3>")
      wanted = controls.build(opened, start)
  gr.HTML("<h3>Walk to another picture</h3>")
  with gr.Row(equal_height=False):
    with gr.Column(scale=4, min_width=300):
      other_place = uploads.place("The other picture")
      other_take = gr.Button(SAMPLE, size="sm")
    with gr.Column(scale=4, min_width=300):
      walk = gr.HTML(markup.message(BOTH), elem_classes="ex-walk")
  controls.connect([*own, *wanted], **QUICK)
  parts = (own, wanted, place, take, result, other_place, other_take, walk)
  _connect(panel, _Parts(*parts))


def edit(
  opened: Opened,
  image: NDArray,
  shows: Mapping[str, Any],
  shall: Mapping[str, Any],
) -> str:
  """Return a picture, its reconstruction and how it might be as HTML."""
  made = photo.edit(opened, image, shows, shall)
  names = SHOWN if opened.attributes else SHOWN[:2]
  row = markup.row(list(zip([image, *made], names, strict=False)))
  record = {"run": opened.name, "shows": shows, "changed": shall}
  last = images.to_bytes(made[len(names) - 2])
  stem = f"{opened.name}_changed"
  return row + markup.downloads(last, record, stem, link=False)


def interpolate(
  opened: Opened,
  pair: tuple[NDArray, NDArray],
  shows: Mapping[str, Any],
  shall: Mapping[str, Any],
) -> str:
  """Return the way between two pictures as HTML.

  The model finds what the second picture shows. If it cannot, the second one
  counts as unknown, or else as what the first is to show.
  """
  there = _guess(opened, pair[1]) or shall
  made = photo.walk(opened, pair, (shows, there))
  numbers = ["yours", *map(str, range(2, len(made))), "the other"]
  record = {"run": opened.name, "from": shows, "to": there}
  row = markup.row(list(zip(made, numbers, strict=True)))
  return row + markup.row_downloads(list(made), record, f"{opened.name}_walk")


def _connect(panel: Panel, parts: _Parts) -> None:
  """Connect what a person does with what the page shows."""
  opened = panel.opened
  own = controls.components(parts.own)
  wanted = controls.components(parts.wanted)
  image = gr.State(None)
  other = gr.State(None)

  def values(given):
    shows = controls.read(parts.own, given[: len(own)])
    return shows, controls.read(parts.wanted, given[len(own) :])

  def show(image, *given):
    if image is None:
      return gr.skip()
    return _message(edit, opened, image, *values(given))

  def steps(image, other, *given):
    if image is None or other is None:
      return gr.skip()
    return _message(interpolate, opened, (image, other), *values(given))

  def read(event: gr.EventData):
    found, wrong = _read(opened, event)
    shown = _settings(opened, parts.own, found)
    said = gr.skip() if found is not None else markup.message(wrong)
    return [found, *shown, *shown, said]

  def read_other(event: gr.EventData):
    found, wrong = _read(opened, event)
    return found, gr.skip() if found is not None else markup.message(wrong)

  def show_sample(held, *given):
    request = build_request(panel, given, held)
    return images.to_bytes(pictures.draw(opened, request).images[request.pick])

  def take(held, *given):
    found = show_sample(held, *given)
    shown = _settings(opened, parts.own, found)
    return [found, *shown, *shown]

  state = [image, *own, *wanted]
  ends = [image, other, *own, *wanted]
  asked = [panel.held, *panel.inputs]
  for event in (
    parts.place.upload(read, None, [*state, parts.result], **QUICK),
    parts.take.click(take, asked, state, **QUICK),
  ):
    shown = event.then(show, state, parts.result, **QUICK)
    shown.then(steps, ends, parts.walk, **QUICK)
  for event in (
    parts.other_place.upload(read_other, None, [other, parts.walk], **QUICK),
    parts.other_take.click(show_sample, asked, other, **QUICK),
  ):
    event.then(steps, ends, parts.walk, **QUICK)
  for part in (*own, *wanted):
    part.input(show, state, parts.result, **QUICK)
    getattr(part, "release", part.input)(steps, ends, parts.walk, **QUICK)


def _settings(
  opened: Opened, own: Sequence[Control], image: NDArray | None
) -> list:
  """Return what controls are to say of an image, or to stay as they are."""
  found = None if image is None else _guess(opened, image)
  if found is None:
    return [gr.skip() for _ in controls.components(own)]
  return controls.write(own, found)


def _guess(opened: Opened, image: NDArray) -> dict[str, Any] | None:
  """Return what an image shows, unknown values where the model has such."""
  return photo.guess(opened, image) or opened.all_unknown


def _message(function, *arguments) -> str:
  """Return a function's answer, or what is wrong."""
  try:
    return function(*arguments)
  except ValueError as error:
    return markup.message(str(error))


def _describe_source(opened: Opened) -> str:
  """Say where the controls of what a picture shows come from."""
  if photo.can_guess(opened):
    return "Found by the model; correct it where it is wrong."
  if opened.all_unknown:
    return "Unknown at first; say what you know."
  return "Say it here: this run cannot find it."


def _read(opened: Opened, event: gr.EventData) -> tuple[NDArray | None, str]:
  """Return an upload as the run reads it, or None and what is wrong."""
  try:
    content = uploads.content(event)
    picture = photo.decode(content, own_picture.find_white(opened.run))
    return own_picture.fit(opened.run, picture), ""
  except ValueError as error:
    return None, str(error)
