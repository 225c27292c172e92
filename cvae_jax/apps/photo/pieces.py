"""Ink → the connected pieces of it that make up one digit."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cvae_jax.apps.photo.errors import PhotoError

# Ink levels (kept if connected, needed) of 1. The second pair is for what the
# first cannot untangle: printed lines that are nearly as dark as the pen.
LEVELS = ((0.35, 0.5), (0.65, 0.8))
MAX_INK = 0.45  # share of the picture
MIN_EXTENT = 0.04  # of the picture's longest side; a smaller mark is a speck
MAX_PIECES = 12  # pieces of comparable size; more is texture, no digit
MAX_STROKE = 0.45  # width over size; wider is a blob, no pen stroke
MAX_TANGLE = 6.0  # stroke length over size; MNIST's digits reach 4.8


class _TangleError(PhotoError):
  """More ink than a digit's; a higher threshold may still find the digit."""


class _Piece(NamedTuple):
  """One connected piece of ink: label, area in px and bounding box."""

  label: int
  area: int
  box: tuple[slice, slice]
  edge: bool

  @property
  def height(self) -> int:
    return self.box[0].stop - self.box[0].start

  @property
  def size(self) -> int:
    return max(self.height, self.box[1].stop - self.box[1].start)


def find_digit(ink: np.ndarray) -> np.ndarray:
  """Find the one digit of ink [H, W]: bool [H, W], or raise PhotoError."""
  first = None
  for weak, strong in LEVELS:
    try:
      digit = _select_digit(_ink_mask(ink, weak, strong))
      _check_strokes(digit)
    except _TangleError as error:
      first = first or error
    else:
      return digit
  raise PhotoError(*first.args)


def _ink_mask(ink: np.ndarray, weak: float, strong: float) -> np.ndarray:
  """Threshold ink [H, W]: the weak regions around strong ones, unruled."""
  around = np.ones((3, 3))
  mask = ndimage.binary_propagation(ink > strong, around, ink > weak)
  share = mask.mean()
  if share > MAX_INK:
    raise _TangleError(
      f"too much ink: {share:.0%} of the picture differs from the background, "
      f"expected at most {MAX_INK:.0%}: photograph one digit on plain paper, "
      "with a margin, or crop the picture to the digit"
    )
  return _drop_rules(_drop_rules(mask).T).T


def _drop_rules(mask: np.ndarray) -> np.ndarray:
  """Erase near-horizontal thin lines that cross the whole of bool [H, W]."""
  height, width = mask.shape
  thickness = max(6, max(mask.shape) // 50)
  thin = mask & ~_open_columns(mask, thickness)
  left, right = (_line_ends(thin, column) for column in (0, width - 1))
  y, x = np.mgrid[:height, :width]
  erase = np.zeros_like(mask)
  rules = 0
  for start in left:
    # Up to three degrees of tilt; a steeper line is left to be told apart as
    # a separate mark.
    end = min(right, key=lambda row: abs(row - start), default=np.inf)
    if abs(end - start) > 0.05 * width:
      continue
    band = abs(y - start - (end - start) * x / width) < thickness
    if (mask & band).any(0).mean() > 0.9:
      erase |= thin & band
      rules += 1
  if rules < 2:
    # One bar across the whole picture may be that of a closely cropped 7.
    return mask
  # A stroke that crosses a rule aslant was cut: close the gap.
  kept = mask & ~erase
  closed = ndimage.binary_closing(kept, np.ones((thickness + 2, 1)))
  return kept | (closed & erase)


def _open_columns(mask: np.ndarray, length: int) -> np.ndarray:
  """Keep of bool [H, W] the vertical runs of at least `length` px."""
  # Grey filters on bytes are separable, hence much faster than binary ones;
  # the shift by `origin` makes erosion and dilation by an even length agree.
  low = ndimage.minimum_filter1d(mask.astype(np.uint8), length, axis=0)
  back = -1 if length % 2 == 0 else 0
  return ndimage.maximum_filter1d(low, length, axis=0, origin=back) > 0


def _line_ends(thin: np.ndarray, column: int) -> list[float]:
  """Find the rows where lines of bool [H, W] leave through a side column."""
  labels, count = ndimage.label(thin[:, column])
  return [
    float(np.flatnonzero(labels == label).mean())
    for label in range(1, count + 1)
  ]


def _select_digit(mask: np.ndarray) -> np.ndarray:
  """Keep of bool [H, W] the pieces of one digit, raising if there are more."""
  labels, pieces = _pieces(mask)
  if not pieces or pieces[0].size < MIN_EXTENT * max(mask.shape):
    raise PhotoError(
      "no digit found: only ruled lines or specks stand out, expected one "
      f"digit of at least {MIN_EXTENT:.0%} of the picture: crop the picture to "
      "the digit"
    )
  main = pieces[0]
  digit = labels == main.label
  # Specks, what the frame cuts, and lines far thinner than the pen are none
  # of the digit's strokes.
  thin = 0.4 * stroke_width(digit[main.box])
  rest = [
    p
    for p in pieces[1:]
    if p.area >= max(0.02 * main.area, thin * p.size) and p.edge <= main.edge
  ]
  marks = [p for p in rest if p.area >= 0.1 * main.area]
  if len(marks) >= MAX_PIECES:
    raise _TangleError(
      f"too much ink: found {len(marks) + 1} separate marks of similar size, "
      "expected one digit: photograph it on plain paper, or crop the picture "
      "to the digit"
    )
  while rest:
    distance = ndimage.distance_transform_edt(~digit)
    gaps = [distance[p.box][labels[p.box] == p.label].min() for p in rest]
    nearest = int(np.argmin(gaps))
    piece = rest.pop(nearest)
    gap = gaps[nearest] / main.size
    if _belongs(piece, main, gap):
      digit |= labels == piece.label
    elif piece.area >= 0.2 * main.area:
      raise PhotoError(
        "several digits: found two separate marks "
        f"{gap * main.size / max(mask.shape):.0%} of the picture apart, "
        "expected one digit: crop the picture to one"
      )
  return digit


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, list[_Piece]]:
  """Label bool [H, W]; also list the pieces, the most digit-like first."""
  labels, _ = ndimage.label(mask, np.ones((3, 3)))
  areas = np.bincount(labels.ravel())
  pieces = []
  for label, box in enumerate(ndimage.find_objects(labels), 1):
    ends = zip(box, mask.shape, strict=True)
    edge = any(side.start == 0 or side.stop == n for side, n in ends)
    pieces.append(_Piece(label, int(areas[label]), box, edge))
  # What the frame cuts is more often the table than the digit.
  pieces.sort(key=lambda p: p.area * (0.2 if p.edge else 1.0), reverse=True)
  return labels, pieces


def _belongs(piece: _Piece, main: _Piece, gap: float) -> bool:
  """Tell whether a piece continues the main one, `gap` in units of its size.

  A piece as tall as the main one is a second digit unless it nearly touches;
  a small one, such as the bar of a 5, may lie further off.
  """
  tall = piece.height >= 0.55 * main.height
  return gap <= (0.12 if tall else 0.25)


def _check_strokes(digit: np.ndarray) -> None:
  """Raise where the strokes of bool [H, W] are no digit's."""
  crop = digit[bounds(digit)]
  length = max(crop.shape)
  width = stroke_width(crop)
  if width > MAX_STROKE * length:
    raise _TangleError(
      f"found a solid shape with strokes {width / length:.0%} of its size, "
      f"expected at most {MAX_STROKE:.0%}: draw the digit with a pen"
    )
  tangle = crop.sum() / (width * length)
  if tangle > MAX_TANGLE:
    raise _TangleError(
      f"too much ink: found strokes {tangle:.0f} times as long as the mark, "
      f"expected at most {MAX_TANGLE:.0f} times: photograph one digit on plain "
      "paper, or crop the picture to the digit"
    )


def bounds(mask: np.ndarray) -> tuple[slice, slice]:
  """Find the smallest box around the True of bool [H, W]."""
  return ndimage.find_objects(mask.astype(np.uint8))[0]


def stroke_width(mask: np.ndarray) -> float:
  """Estimate the pen's width in px: twice the median depth of the ridge."""
  depth = ndimage.distance_transform_edt(np.pad(mask, 1))
  ridge = (depth > 0) & (depth >= ndimage.maximum_filter(depth, 3))
  # The depth of the ridge counts from pixel centres: half a pixel less on
  # either side than the stroke covers.
  return float(2 * np.median(depth[ridge]) - 1)
