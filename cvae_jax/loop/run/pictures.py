"""Pictures of requests in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data.conditions.attribute import STEPS
from cvae_jax.host import images
from cvae_jax.host.arguments import RunError
from cvae_jax.loop.run.restored import Restored

ACROSS = 8  # samples in a row
GRID = 5  # settings of a number in a grid
LATENTS = 4  # rows of a sweep


class Picture(NamedTuple):
  """Images and captions. NumPy reads the images; a notebook shows them."""

  images: NDArray  # [R, P, H, W, C], in [0, 1]
  rows: Sequence[str] = ()  # a caption for each of R rows, or none
  columns: Sequence[str] = ()  # a caption for each of P columns, or none
  note: str = ""  # what a request left out, and what stands in its place

  def __array__(self, dtype=None, copy=None) -> NDArray:
    return np.array(self.images, dtype=dtype, copy=copy)

  def png(self) -> bytes:
    """Return the captioned images as the content of a PNG file."""
    rows = self.rows
    columns = self.columns
    return images.png(images.sheet(self.images, rows=rows, columns=columns))

  def save(self, path: str | Path) -> None:
    """Write the captioned images; the ending of `path` gives the format.

    Raises:
      ValueError: it is none of .png, .jpg, .jpeg and .webp.
    """
    rows = self.rows
    columns = self.columns
    images.save_grid(Path(path), self.images, rows=rows, columns=columns)

  def _repr_png_(self) -> bytes:
    return self.png()

  def __repr__(self) -> str:
    note = f"; {self.note}" if self.note else ""
    return f"Picture of {self.images.shape}, rows × columns first{note}"


def draw(
  run: Restored,
  request: Mapping[str, Any] | str = "",
  *,
  grid: Sequence[str] = (),
  sweep: str = "",
  unknown: Sequence[str] = (),
  count: int | None = None,
  seed: int = 0,
  guidance: float | None = None,
) -> Picture:
  """Draw samples of a request, a grid over two attributes or a sweep of one.

  Args:
    run: a run that samples.
    request: what is asked for, in words.
    grid: one or two attributes; every level of the first is a row with every
      level of the second. All cells share one latent.
    sweep: an attribute that changes along each row, which shares a latent.
    unknown: attributes that are said to be unknown.
    count: samples (8), rows of a sweep (4), or how often a grid is drawn (1).
    seed: of the latents, and of attributes that are left out.
    guidance: see Run.sample.

  Raises:
    RunError: the run cannot be asked so.
    DataError: an attribute or a value is unknown.
  """
  words = _complete(run, request, [*grid, *filter(None, [sweep])], unknown)
  if sweep and grid:
    raise RunError("give a grid or a sweep; found both")
  if len(grid) > 2:
    raise RunError(f"a grid has one or two attributes; found {len(grid)}")
  if sweep:
    axes = [(), (sweep,)]
    blocks = count or LATENTS
  elif grid:
    axes = [tuple(grid[:-1]), tuple(grid[-1:])]
    blocks = count or 1
  else:
    return _samples(run, words, count or ACROSS, seed, guidance)
  rows = _settings(run, axes[0], GRID)
  columns = _settings(run, axes[1], GRID if grid else STEPS)
  asked = run.request(words | rows[0] | columns[0], blocks, seed)
  shown = np.concatenate(
    [
      run.conditions.fill(one[None], row | column)
      for one in asked.vectors
      for row in rows
      for column in columns
    ]
  )
  z = run.prior(len(shown), seed, shown, shared=len(shown) // blocks)
  drawn = run.guided(z, shown, guidance)
  return Picture(
    drawn.reshape(blocks * len(rows), len(columns), *drawn.shape[1:]),
    [_caption(run, row) for row in rows] * blocks if axes[0] else (),
    [_caption(run, column) for column in columns],
    asked.note,
  )


def _complete(
  run: Restored,
  request: Mapping[str, Any] | str,
  named: Sequence[str],
  unknown: Sequence[str],
) -> dict[str, Any]:
  """Return a request with its unknown attributes, checked against the axes.

  Raises:
    RunError: an attribute is asked for in two ways, or may not be unknown.
  """
  words = run.parse(request)
  if (named or unknown) and not run.asks:
    run.parse(dict.fromkeys([*named, *unknown]))
  for name in named:
    run.conditions.attribute(name)
  unsaid = run.parse(dict.fromkeys(unknown))
  said = [*words, *named, *unknown]
  if twice := [name for name in dict.fromkeys(said) if said.count(name) > 1]:
    raise RunError(f"{twice[0]} is asked for in two ways; give it once")
  return words | unsaid


def _samples(
  run, words, count: int, seed: int, guidance: float | None
) -> Picture:
  """Draw samples of one request, eight in a row."""
  asked = run.request(words, count, seed)
  z = run.prior(count, seed, asked.vectors)
  drawn = run.guided(z, asked.vectors, guidance)
  across = min(count, ACROSS)
  rows = -(-count // across)
  empty = np.ones((rows * across - count, *drawn.shape[1:]), drawn.dtype)
  drawn = np.concatenate([drawn, empty])
  return Picture(drawn.reshape(rows, across, *drawn.shape[1:]), note=asked.note)


def _settings(
  run: Restored, names: Sequence[str], steps: int
) -> list[dict[str, Any]]:
  """Return the settings of one attribute; without one an empty setting."""
  if not names:
    return [{}]
  attribute = run.conditions.attribute(names[0])
  return [{names[0]: value} for value in attribute.settings(steps)]


def _caption(run: Restored, setting: Mapping[str, Any]) -> str:
  return "\n".join(
    run.conditions.attribute(name).text(value)
    for name, value in setting.items()
  )
