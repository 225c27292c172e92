"""A trained run colours a photo of any size."""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.data.files import decoding, image_files
from cvae_jax.host import images
from cvae_jax.loop.run.purposes import colours, purpose
from cvae_jax.method import baselines, cells, recompose
from cvae_jax.runs import Run, RunError

PIXELS = 1 << 21  # pixels that are coloured at once: 100 MB of floats
_COLOURLESS = 2.0  # of 255: a photo of less mean chroma counts as grey


class Coloured(NamedTuple):
  """A photo's variants, and the pictures to compare them with."""

  grey: NDArray  # uint8 [H, W]
  maps: NDArray  # [V, 14, 14, 2]
  variants: list[NDArray]  # uint8 [H, W, 3] each
  photo: NDArray | None  # uint8 [H, W, 3] if it has colours
  recomposed: NDArray | None  # from its true 14 × 14 colours, the best possible


def read(path: str | Path) -> NDArray[np.uint8]:
  """Read a photo of any format as RGB [H, W, 3], upright.

  Raises:
    DataError: there is no such file, or it is not a whole image.
  """
  return decoding.lay_on_white(decoding.read(path))


def colourise(
  run: Run, photo: NDArray, count: int = 5, seed: int = 0, smoothing: str = ""
) -> Coloured:
  """Colour a photo's grey in `count` ways, one latent each.

  Args:
    run: of the system colouring.
    photo: uint8 [H, W, 3], any size; a grey photo has equal channels.
    count: how many latents are drawn.
    seed: of the latents.
    smoothing: "" colours every pixel of the photo and keeps its luma; one of
      recompose.SMOOTHINGS does as the source did, at 112 × 112 pixels.

  Raises:
    RunError: the run colours nothing.
  """
  check(run)
  grey = np.concatenate(
    [
      np.asarray(cells.grey(photo[rows])).astype(np.uint8)
      for rows in _bands(*photo.shape[:2])
    ]
  )
  small = image_files.resize_bilinear(grey[..., None], cells.SIDE)[..., 0]
  maps = decode_variants(run, small[None], run.prior(count, seed)[None])[0]
  true = None
  if np.ptp(photo, axis=-1).mean() >= _COLOURLESS:
    fitted = image_files.resize_bilinear(photo, cells.SIDE)
    true = np.asarray(baselines.true_map(fitted))
  if smoothing:
    grey = small
    photo = image_files.resize_bilinear(photo, cells.SIDE)
  return Coloured(
    grey,
    maps,
    [paint(colours, grey, smoothing) for colours in maps],
    None if true is None else photo,
    None if true is None else paint(true, grey, smoothing),
  )


def check(run: Run) -> None:
  """Check that a run colours photos.

  Raises:
    RunError: it does not.
  """
  if not colours(run):
    raise RunError(
      f"{run.folder} is a run of {run.config.system!r}, which colours no "
      f"photos, as runs of configs/colour.py do; {purpose(run)}"
    )


def caution(run: Run) -> str:
  """Return a warning if a run's latents carry no colour, else ""."""
  if run.config.model.encoder.get("sees_colour", False):
    return ""
  return (
    f"note: the encoder of {run.folder} never saw a colour, as the source's, "
    "so variants differ little; train configs/colour.py:useful for colours"
  )


def decode_variants(run: Run, greys: NDArray, z: NDArray) -> NDArray:
  """Return colour maps [N, V, 14, 14, 2] of greys uint8 [N, 112, 112].

  It works photo by photo; each has its own latents of z [N, V, Z].
  """
  pairs = zip(z, greys, strict=True)
  maps = [run.decode(z[None], grey[None] / 255.0) for z, grey in pairs]
  return np.concatenate(maps)


def sheet(coloured: Coloured, side: int = 256) -> NDArray:
  """Lay out input, variants and, where there are colours, truth: a grid.

  The true photo comes last, behind its recomposition from 14 × 14 colours.
  Pictures [1, P, H, W, 3] whose longer side is at most `side`.
  """
  grey = np.repeat(coloured.grey[..., None], 3, axis=-1)
  shown = [grey, *coloured.variants, coloured.recomposed, coloured.photo]
  height, width = grey.shape[:2]
  scale = min(1.0, side / max(height, width))
  size = round(height * scale), round(width * scale)
  return np.stack([images.thumbnail(p, *size) for p in shown if p is not None])[
    None
  ]


@jax.jit
def _luma_true(colours, grey):
  return recompose.paint(colours, grey)


def paint(colours: NDArray, grey: NDArray, smoothing: str = "") -> NDArray:
  """Colour a grey photo uint8 [H, W] by a map: uint8 [H, W, 3].

  `smoothing` is that of `colourise`.
  """
  if smoothing:
    rgb = recompose.paint_as_source(colours, grey / 255.0, smoothing)
    return images.to_bytes(rgb)
  bands = _bands(*grey.shape)
  if len(bands) == 1:
    return images.to_bytes(_luma_true(colours, grey.astype("f4") / 255.0))
  # The few rows of the map are stretched first, the columns band by band.
  colours = np.asarray(_stretch_rows(colours, len(grey)))
  painted = np.empty((*grey.shape, 3), np.uint8)
  for rows in bands:
    band = grey[rows].astype(np.float32) / 255.0
    painted[rows] = images.to_bytes(_luma_true(colours[rows], band))
  return painted


def _bands(height: int, width: int) -> list[slice]:
  """Cut a photo's rows so that its floats need little memory.

  All bands but the last have one shape, so that a program is compiled once.
  """
  rows = max(1, PIXELS // width)
  return [slice(i, i + rows) for i in range(0, height, rows)]


@functools.partial(jax.jit, static_argnums=1)
def _stretch_rows(colours, height):
  """Interpolate the rows of a map [h, w, 2]: [height, w, 2]."""
  return jax.image.resize(colours, (height, *colours.shape[1:]), "linear")
