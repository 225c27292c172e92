"""Pictures and texts as HTML: the picture itself lies in the page."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import PngImagePlugin

from cvae_jax.host import channels, images

LARGE = 320  # pixels that a saved picture has at least
PIXELATED = 100  # pixels a side up to which each is shown as a square


def png(image: ArrayLike, note: str = "") -> bytes:
  """Return [H, W, C] as a PNG file; `note` is kept in it as `request`.

  Args:
    image: floats in [0, 1] or uint8.
    note: text.
  """
  pixels = np.asarray(image)
  if pixels.dtype != np.uint8:
    pixels = images.to_bytes(pixels)
  shown = channels.to_pillow(pixels)
  kept = PngImagePlugin.PngInfo()
  if note:
    kept.add_text("request", note)
  buffer = io.BytesIO()
  shown.save(buffer, "PNG", pnginfo=kept, compress_level=1)
  return buffer.getvalue()


def address(content: bytes, kind: str = "image/png") -> str:
  """Return a file's content as an address that a page can show."""
  return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def image_tag(image: ArrayLike, alt: str, classes: str = "") -> str:
  """Return an image as a tag, each pixel as it is."""
  small = max(np.shape(image)[:2]) <= PIXELATED
  classes = f"{classes} ex-pixels" if small else classes
  return (
    f'<img class="{classes.strip()}" alt="{html.escape(alt, quote=True)}" '
    f'src="{address(png(image))}">'
  )


def enlarge(image: NDArray) -> NDArray:
  """Repeat the pixels of a small picture so that a person can see it."""
  scale = max(1, -(-LARGE // max(image.shape[:2])))
  return image.repeat(scale, axis=0).repeat(scale, axis=1)


def downloads(
  image: NDArray, request: Mapping[str, Any], name: str, link: bool = True
) -> str:
  """Return links that save a picture and the request that made it."""
  note = json.dumps(request)
  text = json.dumps(request, indent=2, ensure_ascii=False) + "\n"
  picture = address(png(enlarge(image), note))
  written = f"data:application/json;charset=utf-8,{quote(text)}"
  stem = html.escape(name, quote=True)
  copy = '<button type="button" class="ex-copy">Copy link</button>'
  return (
    '<div class="ex-links">'
    f'<a download="{stem}.png" href="{picture}">Save picture</a>'
    f'<a download="{stem}.json" href="{written}">Save request</a>'
    f"{copy if link else ''}</div>"
  )


def row_downloads(
  shown: Sequence[NDArray], request: Mapping[str, Any], name: str
) -> str:
  """Return links that save pictures of one size as one, and their request."""
  whole = images.grid(np.stack(shown)[None])
  return downloads(whole, request, name, link=False)


def strip(
  shown: Sequence[ArrayLike], pick: int, alt: Sequence[str], label: str
) -> str:
  """Return small pictures in a row, each a button that picks it."""
  buttons = [
    f'<button type="button" class="ex-draw" data-pick="{i}" '
    f'aria-pressed="{str(i == pick).lower()}">'
    f"{image_tag(image, alt[i])}</button>"
    for i, image in enumerate(shown)
  ]
  return (
    f'<div class="ex-strip" role="group" aria-label="{html.escape(label)}">'
    f"{''.join(buttons)}</div>"
  )


def figure(image: ArrayLike, caption: str, alt: str = "") -> str:
  """Return a large picture with its caption."""
  return (
    f'<figure class="ex-figure">{image_tag(image, alt or caption, "ex-large")}'
    f"<figcaption>{html.escape(caption)}</figcaption></figure>"
  )


def row(shown: Sequence[tuple[ArrayLike, str]]) -> str:
  """Return pictures beside each other, a caption under each."""
  cells = [
    f'<figure class="ex-cell">{image_tag(image, text)}'
    f"<figcaption>{html.escape(text)}</figcaption></figure>"
    for image, text in shown
  ]
  return f'<div class="ex-row">{"".join(cells)}</div>'


def table(images_: NDArray, rows: Sequence[str], columns: Sequence[str]) -> str:
  """Return images [R, P, H, W, C] as a table with captions at both sides."""
  head = "".join(f"<th scope='col'>{html.escape(c)}</th>" for c in columns)
  lines = [f"<tr><td></td>{head}</tr>"]
  for name, line in zip(rows, images_, strict=True):
    cells = "".join(
      f"<td>{image_tag(image, f'{name}, {column}')}</td>"
      for image, column in zip(line, columns, strict=True)
    )
    lines.append(f"<tr><th scope='row'>{html.escape(name)}</th>{cells}</tr>")
  return (
    '<div class="ex-scroll" tabindex="0" role="region" aria-label="Grid">'
    f'<table class="ex-grid" style="--n:{len(columns)}">{"".join(lines)}'
    "</table></div>"
  )


WAIT = "One moment …"  # until a tab that was opened is answered


def message(text: str) -> str:
  """Return a line that says what went wrong, or what to do first."""
  return f'<p class="ex-message" role="status">{html.escape(text)}</p>'
