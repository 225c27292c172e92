"""Captions beside and above a sheet of pictures. NumPy and Pillow only."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cvae_jax.host import channels


def add(
  sheet: NDArray[np.uint8],
  cell: tuple[int, int],
  rows: Sequence[str],
  columns: Sequence[str],
) -> NDArray[np.uint8]:
  """Write captions into a white margin left of and above a sheet.

  Args:
    sheet: pictures every cell[0] pixels down and cell[1] to the right.
    rows, columns: a text of one or more lines each, or none at all.
  """
  picture = channels.to_pillow(sheet)
  pen = ImageDraw.Draw(Image.new("L", (1, 1)))
  down = _font(pen, rows, 3 * cell[1])
  across = _font(pen, columns, cell[1])
  left = _extent(pen, rows, down)[0]
  top = _extent(pen, columns, across)[1]
  size = (picture.width + left, picture.height + top)
  page = Image.new(picture.mode, size, "white")
  page.paste(picture, (left, top))
  pen = ImageDraw.Draw(page)
  words = [
    (left // 2, top + i * cell[0] + cell[0] // 2, text, down)
    for i, text in enumerate(rows)
  ]
  words += [
    (left + i * cell[1] + cell[1] // 2, top // 2, text, across)
    for i, text in enumerate(columns)
  ]
  for x, y, text, font in words:
    pen.multiline_text((x, y), text, "black", font, "mm", align="center")
  return np.asarray(page).reshape(page.height, page.width, -1)


def _font(pen: ImageDraw.ImageDraw, texts: Sequence[str], width: int):
  """Return the largest of the readable sizes at which all texts fit."""
  for size in range(14, 8, -1):
    font = ImageFont.load_default(size)
    if _extent(pen, texts, font)[0] <= width:
      break
  return font


def _extent(pen, texts: Sequence[str], font) -> tuple[int, int]:
  """Return the pixels that the largest text takes, with a margin, or 0."""
  boxes = [pen.multiline_textbbox((0, 0), text, font) for text in texts]
  if not boxes:
    return 0, 0
  return tuple(math.ceil(max(box[2 + i] for box in boxes)) + 8 for i in (0, 1))
