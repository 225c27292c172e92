"""Drawn faces whose attributes are known: for tests and smoke runs.

Every face is a function of (seed, index): five attributes, as in the
published experiment, and nuisances (skin, pose, size, colours, light).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from cvae_jax.data import DataError
from cvae_jax.data.files.face_tables import CONDITIONS

_FINER = 3  # pixels drawn per pixel, a side; averaged at the end
_TURN = np.linspace(0, 2 * np.pi, 60, endpoint=False)
_HAIR = np.array([(243, 226, 178), (206, 165, 92), (112, 68, 38), (30, 22, 20)])
_SKIN = np.array([(250, 222, 200), (226, 180, 146), (150, 102, 72)])

Points = npt.NDArray[np.float64]  # [K, 2]: x to the right, y down


class _Pose(NamedTuple):
  x: float
  y: float
  scale: float
  angle: float


def make(
  count: int, size: int, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], pd.DataFrame]:
  """Draw faces [count, size, size, 3], RGB, and tell their attributes.

  Returns:
    The images and a table with `file` and male, female (0/1), hair_color (1
    dark, 0 light), mouth and eyes (1 open, 0 closed). Face i is the same in
    any count.

  Raises:
    DataError: if there is no face or it has less than 16 pixels a side.
  """
  if count < 1 or size < 16:
    raise DataError(
      "synthetic faces need count >= 1 and 16 pixels a side; found"
      f" {count} and {size}"
    )
  values = np.array([attributes(i, seed) for i in range(count)])
  images = np.stack([draw(v, i, size, seed) for i, v in enumerate(values)])
  table = pd.DataFrame(values, columns=list(CONDITIONS))
  table.insert(0, "file", [f"synthetic_{seed}_{i:06d}" for i in range(count)])
  return images, table


def attributes(index: int, seed: int = 0) -> npt.NDArray[np.float64]:
  """Choose the attributes [5] of a face: male, female, hair, mouth, eyes."""
  rng = np.random.default_rng((seed, index, 0))
  male = float(rng.integers(2))
  mouth = 0.0 if rng.random() < 0.2 else rng.random()  # many are closed
  hair, eyes = rng.random(2)
  return np.array([male, 1 - male, *np.round([hair, mouth, eyes], 4)])


def draw(
  values: npt.ArrayLike, index: int, size: int, seed: int = 0
) -> npt.NDArray[np.uint8]:
  """Draw the face [size, size, 3] with attributes [5], see `make`.

  `index` and `seed` choose the nuisances alone, so that one attribute can be
  varied while everything else stays.
  """
  male, _, hair, mouth, eyes = np.asarray(values, np.float64)
  rng = np.random.default_rng((seed, index, 1))
  canvas = _Canvas(size * _FINER, rng)
  skin = _interpolate(_SKIN, rng.random()) + rng.normal(0, 4, 3)
  colour = _interpolate(_HAIR, hair) + rng.normal(0, 4, 3)
  shape = 0.05 * rng.normal(size=3).clip(-1.5, 1.5)
  _draw_behind(canvas, male, skin, colour, rng)
  canvas.fill(_head(male, shape), skin)
  _features(canvas, male, mouth, eyes, skin, colour, rng)
  _draw_fringe(canvas, male, colour, shape, rng)
  return canvas.finish(size, rng)


class _Canvas:
  """Draws in face units: the head is about 2 high, its middle at (0, 0)."""

  def __init__(self, pixels: int, rng: np.random.Generator):
    self.pixels = pixels
    shift = rng.normal(size=2)
    scale = rng.random()
    angle = rng.normal()
    self.pose = _Pose(
      *(pixels * (np.array([0.5, 0.5]) + 0.02 * shift.clip(-2, 2))),
      pixels * (0.32 + 0.05 * scale),
      np.radians(5) * np.clip(angle, -2, 2),
    )
    top, bottom = rng.uniform(40, 235, (2, 3))
    ramp = np.linspace(0, 1, pixels)[:, None]
    wall = ((1 - ramp) * top + ramp * bottom)[:, None].repeat(pixels, 1)
    self.picture = Image.fromarray(wall.astype(np.uint8))
    self.pen = ImageDraw.Draw(self.picture)

  def place(self, points: Points) -> list[tuple[float, float]]:
    """Map face units to pixels."""
    p, (c, s) = self.pose, (np.cos(self.pose.angle), np.sin(self.pose.angle))
    placed = p.scale * points @ np.array([[c, s], [-s, c]]) + (p.x, p.y)
    return list(map(tuple, placed.tolist()))

  def fill(self, points: Points, colour: npt.ArrayLike) -> None:
    """Fill a polygon [K, 2]."""
    self.pen.polygon(self.place(points), fill=_rgb(colour))

  def line(self, points: Points, colour: npt.ArrayLike, width: float) -> None:
    """Draw a stroke through points [K, 2], `width` in face units."""
    width = max(1, round(width * self.pose.scale))
    self.pen.line(self.place(points), _rgb(colour), width, joint="curve")

  def finish(
    self, size: int, rng: np.random.Generator
  ) -> npt.NDArray[np.uint8]:
    """Average to [size, size, 3] under a light from one side."""
    small = self.picture.resize((size, size), Image.Resampling.BOX)
    side, up = rng.uniform(-0.15, 0.15, 2)
    across = np.linspace(-1, 1, size)
    light = 1 + side * across[None, :, None] + up * across[:, None, None]
    return np.rint((np.asarray(small) * light).clip(0, 255)).astype(np.uint8)


def _draw_behind(canvas, male, skin, colour, rng) -> None:
  """Draw what the head hides: shoulders, long hair, neck, ears."""
  cloth = rng.uniform(20, 240, 3)
  length = 1.0 + 0.35 * rng.random()
  if not male:
    canvas.fill(_outline(0, 0.05, 0.98, length + 0.2, 3.0), 0.85 * colour)
  canvas.fill(_outline(0, 2.0, 1.5 if male else 1.15, 0.85, 3.0), cloth)
  neck = 0.42 if male else 0.3
  canvas.fill(_outline(0, 0.95, neck, 0.5, 4.0), 0.85 * skin)
  for side in (-1, 1):
    canvas.fill(_outline(side * 0.76, 0.05, 0.12, 0.2), 0.92 * skin)


def _head(male: float, shape: Points) -> Points:
  """Outline a head: men's jaw is wide and square, women's chin narrow."""
  top = _outline(0, 0, 0.76 + shape[0], 1.0 + shape[1], 2.2)
  jaw = _outline(0, 0, 0.76 + shape[0], 1.0 + shape[1], 2.9 if male else 1.75)
  return np.where(top[:, 1:] < 0, top, jaw)


def _features(canvas, male, mouth, eyes, skin, colour, rng) -> None:
  nose = np.array([(0.02, -0.05), (0.1, 0.28), (-0.04, 0.32)])
  nose[:, 0] += 0.02 * rng.normal()
  canvas.line(nose, 0.72 * skin, 0.045)
  iris = rng.uniform((30, 60, 30), (110, 130, 170))
  dark = np.array((35, 25, 25))
  for side in (-1, 1):
    x = 0.33 * side
    y = -0.12
    a = 0.19
    b = 0.02 + 0.13 * eyes
    canvas.fill(_outline(x, y, a, b), (250, 250, 250))
    for radius, paint in ((0.1, iris), (0.05, dark)):
      ball = _outline(x, y, radius, radius)
      lid = b * np.sqrt(1 - ((ball[:, 0] - x) / a) ** 2)
      ball[:, 1] = ball[:, 1].clip(y - lid, y + lid)  # the lids hide the rest
      canvas.fill(ball, paint)
    upper = _outline(x, y, a, b)[30:]
    canvas.line(upper, dark, 0.035 if male else 0.06)
    brow = np.array([(-0.22, 0.02), (0, -0.05), (0.22, 0.03)]) * (side, 1)
    brow += np.array((x, -0.4))
    canvas.line(brow, 0.7 * colour, 0.1 if male else 0.05)
  _draw_mouth(canvas, male, mouth, skin)


def _draw_mouth(canvas, male: float, opened: float, skin: Points) -> None:
  lips = 0.78 * skin * (1, 0.85, 0.85) if male else np.array((196, 52, 70))
  y = 0.56
  a = 0.27 + 0.03 * (1 - male)
  b = 0.24 * opened
  lip = 0.055
  canvas.fill(_outline(0, y + 0.5 * b, a + 0.03, b + lip), lips)
  if b < 0.03:  # closed: a line between the lips
    canvas.line(np.array([(-a, y), (0, y + b), (a, y)]), 0.45 * lips, 0.03)
    return
  inside = _outline(0, y + 0.5 * b, a - 0.03, b - 0.005)
  canvas.fill(inside, (70, 14, 20))
  teeth = inside.copy()
  teeth[:, 1] = teeth[:, 1].clip(max=y - 0.15 * b)
  canvas.fill(teeth, (245, 242, 235))


def _draw_fringe(canvas, male, colour, shape, rng) -> None:
  """Draw the hair over the brow: short for men, parted for women."""
  wide = 0.84 + shape[0]
  high = 1.12 + shape[1]
  part = 0.3 * rng.normal()
  line = -0.52 + 0.08 * rng.random()
  cap = _outline(0, 0, wide, high, 2.2)
  cap = cap[cap[:, 1] < (-0.3 if male else 0.15)]
  outer = cap[np.argsort(np.arctan2(cap[:, 1] - 0.3, cap[:, 0]))]
  x = np.linspace(1, -1, 15) * (0.68 + shape[0])
  if male:
    inner = line - 0.08 - 0.06 * np.cos(6 * x + 4 * part)
  else:
    inner = line - 0.3 + 0.75 * np.abs(x - part * 0.5) ** 1.6
    inner = inner.clip(max=0.1)
  canvas.fill(np.concatenate([outer, np.column_stack([x, inner])]), colour)
  shine = _outline(-0.3, -0.85, 0.18, 0.05)
  canvas.fill(shine, np.minimum(colour + 28, 255))


def _outline(
  x: float, y: float, a: float, b: float, power: float = 2.0
) -> Points:
  """Outline [60, 2] of |x/a|^p + |y/b|^p = 1, clockwise from the right."""
  unit = np.column_stack([np.cos(_TURN), np.sin(_TURN)])
  unit = np.sign(unit) * np.abs(unit) ** (2 / power)
  return unit * (a, b) + (x, y)


def _interpolate(colours: npt.NDArray, t: float) -> Points:
  """Interpolate in a list of colours [K, 3] at t in 0..1."""
  at = np.linspace(0, 1, len(colours))
  return np.array([np.interp(t, at, channel) for channel in colours.T])


def _rgb(colour: npt.ArrayLike) -> tuple[int, int, int]:
  return tuple(np.clip(np.rint(colour), 0, 255).astype(int).tolist())
