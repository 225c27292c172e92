"""Drawn shapes, of which every attribute is known: a set to try things on."""

import itertools
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle")
COLOURS = {
  "blue": (40, 80, 220),
  "green": (40, 170, 70),
  "red": (220, 40, 40),
  "yellow": (240, 200, 30),
}
_FINER = 4  # drawn at this many times the size, then averaged


def draw(
  shape: str,
  colour: str,
  size: float,
  angle: float,
  *,
  side: int = 64,
  shift: tuple[float, float] = (0.0, 0.0),
  light: float = 0.9,
) -> np.ndarray:
  """Draw one shape: uint8 [side, side, 3].

  Args:
    shape: one of SHAPES.
    colour: one of COLOURS.
    size: of the shape, from 0 to 1: its radius is size · 0.42 · side.
    angle: degrees, where its dark hand points: 0 is right, 90 is up.
    side: of the image, pixels.
    shift: of the centre, pixels right and down.
    light: of the background, 0 to 1.
  """
  fine = side * _FINER
  radius = size * 0.42 * fine
  x, y = (fine / 2 + _FINER * by for by in shift)
  at = lambda degrees, length: (  # noqa: E731
    x + length * math.cos(math.radians(degrees)),
    y - length * math.sin(math.radians(degrees)),
  )
  ground = (round(255 * light),) * 3
  picture = Image.new("RGB", (fine, fine), ground)
  pen = ImageDraw.Draw(picture)
  if shape == "circle":
    box = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse(box, fill=COLOURS[colour])
  else:
    corners = {"square": 4, "triangle": 3}[shape]
    turns = [angle + 360 * k / corners for k in range(corners)]
    pen.polygon([at(turn, radius) for turn in turns], fill=COLOURS[colour])
  tip = at(angle, 0.8 * radius)
  pen.line([(x, y), tip], fill=(20, 20, 20), width=round(0.22 * radius))
  return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


def make(
  count: int, seed: int = 0, side: int = 64
) -> Iterator[tuple[str, dict[str, str | float], np.ndarray]]:
  """Yield (file, attributes, image), sorted by class, all classes equal."""
  generator = np.random.default_rng(seed)
  kinds = list(itertools.product(COLOURS, SHAPES))
  for row in range(count):
    kind = row * len(kinds) // count
    colour, shape = kinds[kind]
    size = round(float(generator.uniform(0.4, 1.0)), 3)
    angle = round(float(generator.uniform(0, 360)), 1)
    image = draw(
      shape,
      colour,
      size,
      angle,
      side=side,
      shift=tuple(generator.uniform(-0.06, 0.06, 2) * side),
      light=generator.uniform(0.8, 1.0),
    )
    file = f"{colour}_{shape}/{row:05d}.png"
    found = {"shape": shape, "colour": colour, "size": size, "angle": angle}
    yield file, found, image


def write(
  folder: pathlib.Path,
  count: int,
  seed: int = 0,
  side: int = 64,
  unknown: float = 0.0,
):
  """Write `make` as class folders of PNG files and labels.csv.

  Args:
    folder: where to.
    count: of images.
    seed: of all that is random.
    side: of an image, pixels.
    unknown: the share of the table's values that are left empty, chosen
      independently of each other. The images are the same for any share.
  """
  rows = []
  generator = np.random.default_rng([seed, 1])
  for file, found, image in make(count, seed, side):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    empty = generator.uniform(size=len(found)) < unknown
    known = {
      name: "" if gone else value
      for (name, value), gone in zip(found.items(), empty, strict=True)
    }
    rows.append({"file": file, **known})
  pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
