"""Turn a photo of one hand-drawn digit into an MNIST image.

The steps are: read any image as 8-bit RGB, bring it to a working size, find
the ink as the departure from a smooth background along one colour axis (which
decides the polarity by itself), keep the pieces that make up one digit, and
scale and centre that digit as MNIST was made: longest side 20 px, centre of
mass in the middle of 28×28.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

SIDE = 28  # MNIST canvas
BOX = 20  # longest side of the digit inside it
CENTRE = 14.0  # pixel index of the centre of mass, as in all of MNIST
MIN_STROKE = 1.5  # px at MNIST scale; thinner strokes are thickened to this
MAX_STROKE = 9.0  # px at MNIST scale; wider is a blob, no pen stroke
MIN_SIZE = 8  # px, smallest picture accepted
WORK = (256, 768)  # the longest side is brought into this range
MIN_CONTRAST = 10.0  # grey levels of 255 between ink and paper
MIN_SNR = 4.5  # ink contrast over the grain of the background
MAX_INK = 0.45  # share of the picture
MIN_EXTENT = 0.04  # of the picture's longest side; a smaller mark is a speck
MAX_TANGLE = 6.0  # stroke length over size; MNIST's digits reach 4.8
# Ink levels (kept if connected, needed) of 1. The second pair is for what the
# first cannot untangle: printed lines that are nearly as dark as the pen.
LEVELS = ((0.35, 0.5), (0.65, 0.8))
MAX_PIECES = 12  # pieces of comparable size; more is texture, no digit
NOMINAL = (
  1,
  16,
  255,
  1023,
  4095,
  16383,
  65535,
)  # white levels of sample formats


class PhotoError(ValueError):
  """A picture holds no single readable digit."""


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


def digit_from_photo(
  image: str | Path | Image.Image | np.ndarray,
) -> np.ndarray:
  """Extract the one digit of a picture in MNIST's convention.

  Args:
    image: a file name, a PIL image, or an array [H, W], [H, W, 1], [H, W, 3]
      or [H, W, 4] (last channel alpha) of any real type; floats may lie in
      0..1 or 0..255, integers in the range of 1, 8, 10, 12, 14 or 16 bits.

  Returns:
    uint8 [28, 28, 1] in 0..255: white stroke, background exactly 0, the
    longest side of the digit 20 px, its centre of mass in the middle. The
    stroke width follows the picture, except that strokes thinner than
    `MIN_STROKE` are thickened to it. An image that is already MNIST's is
    returned as it is.

  Raises:
    PhotoError: the picture cannot be read, is smaller than 8×8, or shows no
      digit, several digits, or a texture instead of a digit.
  """
  rgb = _load_rgb(image)
  if _is_mnist(rgb):
    return rgb[:, :, :1].copy()
  work, grain = _resize_for_work(rgb)
  ink = _ink_map(work, grain)
  first = None
  for weak, strong in LEVELS:
    try:
      return _render(ink, _select_digit(_ink_mask(ink, weak, strong)))
    except _TangleError as error:
      first = first or error
  raise PhotoError(*first.args)


def _load_rgb(image: str | Path | Image.Image | np.ndarray) -> np.ndarray:
  """Read a picture upright as uint8 [H, W, 3], at most twice the work size."""
  name = "the image"
  if isinstance(image, str | Path):
    name = str(image)
    picture = _open_file(image)
  elif isinstance(image, np.ndarray):
    picture = _image_from_array(image)
  elif isinstance(image, Image.Image):
    picture = image
  else:
    raise PhotoError(
      f"found a {type(image).__name__}, expected a file name, a PIL image or a "
      "NumPy array: pass one of these"
    )
  try:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
      picture = _image_from_array(np.asarray(picture))
    has_alpha = picture.has_transparency_data
    picture = picture.convert("RGBA" if has_alpha else "RGB")
  except (OSError, SyntaxError, ValueError) as error:
    if isinstance(error, PhotoError):
      raise
    raise PhotoError(
      f"cannot decode {name} ({error}), expected a whole picture: save it "
      "again as PNG or JPEG"
    ) from error
  if min(picture.size) < MIN_SIZE:
    width, height = picture.size
    raise PhotoError(
      f"{name} is {width}×{height} px, expected at least "
      f"{MIN_SIZE}×{MIN_SIZE}: take a larger picture"
    )
  # Large photos shrink here, as 8-bit samples, before any float arithmetic.
  picture.thumbnail((2 * WORK[1],) * 2, Image.Resampling.BOX)
  pixels = np.asarray(picture)
  return _flatten_alpha(pixels) if has_alpha else pixels


def _open_file(path: str | Path) -> Image.Image:
  """Open an image file, raising PhotoError where there is none."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("error", Image.DecompressionBombWarning)
      opened = Image.open(path)
    with opened:
      # A JPEG decoder can shrink by 2, 4 or 8 for nothing; other formats
      # ignore the call.
      opened.draft(None, (WORK[1], WORK[1]))
      # This also copies, so that the file may be closed.
      return ImageOps.exif_transpose(opened)
  except FileNotFoundError as error:
    raise PhotoError(
      f"found no file {path}, expected an image: check the name"
    ) from error
  except (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
  ) as error:
    raise PhotoError(
      f"cannot read {path} as an image ({error}), expected a PNG, JPEG or "
      "another format of Pillow: convert it to PNG or JPEG"
    ) from error


def _image_from_array(array: np.ndarray) -> Image.Image:
  """Convert samples [H, W], [H, W, 1|3|4] of any range to an 8-bit image."""
  pixels = array[:, :, 0] if array.shape[2:] == (1,) else array
  channels = pixels.shape[2:]
  if pixels.ndim not in (2, 3) or channels not in ((), (3,), (4,)):
    raise PhotoError(
      f"found an array of shape {array.shape}, expected [H, W], [H, W, 1], "
      "[H, W, 3] or [H, W, 4]: pass one picture, channels last"
    )
  if pixels.dtype.kind not in "buif" or not pixels.size:
    raise PhotoError(
      f"found an array {array.shape} of {array.dtype}, expected at least one "
      "real number: pass pixel values"
    )
  if not np.isfinite(pixels).all() or pixels.min() < 0:
    raise PhotoError(
      "found negative or non-finite pixels, expected values of at least 0: "
      "rescale the array to 0..1 or 0..255"
    )
  # The white level is not in the data: take the smallest usual one that
  # holds every sample, so that 12 bits in a uint16 do not come out black.
  peak = float(pixels.max())
  white = next((level for level in NOMINAL if level >= peak), peak)
  if white != 255 or pixels.dtype != np.uint8:
    pixels = np.rint(pixels * np.float32(255 / white)).astype(np.uint8)
  return Image.fromarray(np.ascontiguousarray(pixels))


def _flatten_alpha(rgba: np.ndarray) -> np.ndarray:
  """Blend uint8 [H, W, 4] with a backdrop that keeps the digit visible."""
  colour = rgba[:, :, :3].astype(np.float32)
  alpha = rgba[:, :, 3:].astype(np.float32) / 255
  opaque = colour[rgba[:, :, 3] > 127]
  if not len(opaque):
    return np.zeros_like(rgba[:, :, :3])
  if len(opaque) < 0.5 * alpha.size:
    # The ink alone is opaque: black or white, whichever is farther from it.
    backdrop = 255.0 if opaque.mean() < 127.5 else 0.0
  else:
    # Paper with holes or soft corners: continue the paper.
    backdrop = np.median(opaque, axis=0)
  return np.rint(alpha * colour + (1 - alpha) * backdrop).astype(np.uint8)


def _is_mnist(rgb: np.ndarray) -> bool:
  """Tell whether uint8 [H, W, 3] already follows MNIST's convention."""
  grey = rgb[:, :, 0]
  if rgb.shape[:2] != (SIDE, SIDE) or (rgb != grey[:, :, None]).any():
    return False
  if (grey > 0).mean() > 0.5 or grey.max() < 200:
    return False
  rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
  extent = max(np.ptp(rows), np.ptp(columns)) + 1
  offset = np.subtract(ndimage.center_of_mass(grey), CENTRE)
  return abs(extent - BOX) <= 1 and bool((abs(offset) < 0.6).all())


def _resize_for_work(rgb: np.ndarray) -> tuple[np.ndarray, float]:
  """Resize to the work range; also return the px a source pixel became."""
  height, width = rgb.shape[:2]
  longest = max(height, width)
  target = min(max(longest, WORK[0]), WORK[1])
  if target == longest:
    return rgb.astype(np.float32), 1.0
  scale = target / longest
  size = (max(1, round(width * scale)), max(1, round(height * scale)))
  method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
  picture = Image.fromarray(rgb).resize(size, method)
  return np.asarray(picture, np.float32), max(scale, 1.0)


def _fit_background(rgb: np.ndarray) -> np.ndarray:
  """Fit a quadratic surface to the paper of [H, W, 3], robust to the ink."""
  height, width = rgb.shape[:2]
  step = max(1, max(height, width) // 64)
  y, x = np.meshgrid(
    np.linspace(-1, 1, height, dtype=np.float32),
    np.linspace(-1, 1, width, dtype=np.float32),
    indexing="ij",
  )
  basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
  design = basis[::step, ::step].reshape(-1, 6).astype(np.float64)
  values = rgb[::step, ::step].reshape(-1, 3).astype(np.float64)
  # A digit seldom touches the frame, so the frame votes three times: this
  # decides for the paper where a bold digit fills the picture.
  frame = np.where(abs(design[:, 1:3]).max(1) > 0.88, 3.0, 1.0)
  # The fit finds the paper that holds its start. A table around the paper may
  # fill the frame, so start from the whole picture's colour as well.
  starts = np.median(values[frame > 1], axis=0), np.median(values, axis=0)
  fits = [_fit_surface(design, values, frame, start) for start in starts]
  surface = min(fits, key=lambda fit: fit[1])[0]
  return basis @ surface.astype(np.float32)


def _fit_surface(
  design: np.ndarray, values: np.ndarray, votes: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float]:
  """Fit design [N, 6] to values [N, 3] near a start [3]: surface and cost."""
  error = values - start
  for _ in range(20):
    # Cauchy weights let go of the ink, even of a close crop's where it is half
    # of the picture, and from the start's colour creep along a soft shadow.
    weight = votes / (1 + np.einsum("nc,nc->n", error, error) / 20**2)
    weighted = design * weight[:, None]
    # The ridge keeps a strip of a few rows, which shows no slope, solvable.
    normal = weighted.T @ design + 1e-6 * votes.sum() * np.eye(6)
    surface = np.linalg.solve(normal, weighted.T @ values)
    error = values - design @ surface
  distance = np.einsum("nc,nc->n", error, error) / 20**2
  return surface, float(votes @ np.log1p(distance))


def _ink_map(rgb: np.ndarray, grain: float) -> np.ndarray:
  """Measure the ink of float [H, W, 3]: float [H, W], paper 0, ink about 1.

  Raises PhotoError where nothing stands out from the background.
  """
  sigma = max(1.0, 0.4 * grain)
  rgb = ndimage.gaussian_filter(rgb, (sigma, sigma, 0), mode="nearest")
  paper = _fit_background(rgb)
  departure = rgb - paper
  # The third moment points from the paper to the ink, whatever their colours.
  strength = np.einsum("hwc,hwc->hw", departure, departure)
  axis = np.einsum("hw,hwc->c", strength, departure)
  axis = axis / max(np.linalg.norm(axis), 1e-9)
  ink = departure @ axis
  shade = _wide_shade(ink)
  ink = ink - shade
  if axis.sum() < 0:
    # Dark ink scatters a share of the light: undo a shadow on the paper.
    light = paper.mean(-1) - np.maximum(shade, 0) / np.sqrt(3)
    ink = ink * np.clip(np.median(light) / np.maximum(light, 1), 0.5, 4)
  peak = _peak(ink)
  bare = ink[ink < 0.35 * peak]
  noise = 1.48 * np.median(abs(bare - np.median(bare))) if bare.size else 0.0
  if peak < max(MIN_CONTRAST, MIN_SNR * noise):
    raise PhotoError(
      f"no digit found: the strongest mark differs from the background by "
      f"{peak:.0f} of 255 levels (background grain {noise:.0f}), expected a "
      "clear stroke: write darker or add light"
    )
  return ink / peak


def _wide_shade(ink: np.ndarray) -> np.ndarray:
  """Find in [H, W] what is too wide for a stroke: shadows, a table's edge."""
  step = max(1, max(ink.shape) // 96)
  small = ink[::step, ::step]
  width = max(3, round(0.35 * max(small.shape)))
  # Outside the picture there is no ink (0), so a stroke cut by the frame does
  # not look wider than it is.
  low = ndimage.minimum_filter(small, width, mode="constant")
  shade = ndimage.maximum_filter(low, width, mode="constant")
  grown = np.repeat(np.repeat(shade, step, 0), step, 1)
  return grown[: ink.shape[0], : ink.shape[1]]


def _peak(ink: np.ndarray) -> float:
  """Find the typical level of the strokes, given that they stand out."""
  peak = float(ink.max())
  for _ in range(10):
    peak = float(ink[ink >= 0.5 * peak].mean()) if peak > 0 else 0.0
  return peak


def _ink_mask(ink: np.ndarray, weak: float, strong: float) -> np.ndarray:
  """Threshold ink [H, W]: the weak regions around strong ones, unruled."""
  labels, count = ndimage.label(ink > weak, np.ones((3, 3)))
  keep = np.zeros(count + 1, bool)
  keep[np.unique(labels[ink > strong])] = True
  keep[0] = False
  mask = keep[labels]
  share = mask.mean()
  if share > MAX_INK:
    raise _TangleError(
      f"too much ink: {share:.0%} of the picture differs from the background, "
      f"expected at most {MAX_INK:.0%}: photograph one digit on plain paper, "
      "with a margin"
    )
  return _drop_rules(_drop_rules(mask).T).T


def _open_columns(mask: np.ndarray, length: int) -> np.ndarray:
  """Keep of bool [H, W] the vertical runs of at least `length` px."""
  # Grey filters on bytes are separable, hence much faster than binary ones;
  # the shift by `origin` makes erosion and dilation by an even length agree.
  low = ndimage.minimum_filter1d(mask.astype(np.uint8), length, axis=0)
  back = -1 if length % 2 == 0 else 0
  return ndimage.maximum_filter1d(low, length, axis=0, origin=back) > 0


def _drop_rules(mask: np.ndarray) -> np.ndarray:
  """Erase near-horizontal thin lines that cross the whole of bool [H, W]."""
  height, width = mask.shape
  thickness = max(6, max(mask.shape) // 50)
  thin = mask & ~_open_columns(mask, thickness)
  left, right = (_line_ends(thin, column) for column in (0, width - 1))
  y, x = np.mgrid[:height, :width]
  erase, rules = np.zeros_like(mask), 0
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


def _line_ends(thin: np.ndarray, column: int) -> list[float]:
  """Find the rows where lines of bool [H, W] leave through a side column."""
  labels, count = ndimage.label(thin[:, column])
  return [
    float(np.flatnonzero(labels == label).mean())
    for label in range(1, count + 1)
  ]


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, list[_Piece]]:
  """Label bool [H, W]; also list the pieces, the most digit-like first."""
  labels, count = ndimage.label(mask, np.ones((3, 3)))
  areas = np.bincount(labels.ravel(), minlength=count + 1)
  height, width = mask.shape
  pieces = []
  for label, box in enumerate(ndimage.find_objects(labels), 1):
    rows, columns = box
    edge = rows.start == 0 or columns.start == 0
    edge |= rows.stop == height or columns.stop == width
    pieces.append(_Piece(label, int(areas[label]), box, edge))
  # What the frame cuts is more often the table than the digit.
  pieces.sort(key=lambda p: p.area * (0.2 if p.edge else 1.0), reverse=True)
  return labels, pieces


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
  thin = 0.4 * _stroke_width(digit[main.box])
  rest = [
    p
    for p in pieces[1:]
    if p.area >= max(0.02 * main.area, thin * p.size) and p.edge <= main.edge
  ]
  marks = [p for p in rest if p.area >= 0.1 * main.area]
  if len(marks) >= MAX_PIECES:
    raise _TangleError(
      f"too much ink: found {len(marks) + 1} separate marks of similar size, "
      "expected one digit: photograph it on plain paper"
    )
  while rest:
    distance = ndimage.distance_transform_edt(~digit)
    gaps = [distance[p.box][labels[p.box] == p.label].min() for p in rest]
    nearest = int(np.argmin(gaps))
    piece, gap = rest.pop(nearest), gaps[nearest] / main.size
    if _belongs(piece, main, gap):
      digit |= labels == piece.label
    elif piece.area >= 0.2 * main.area:
      raise PhotoError(
        "several digits: found two separate marks "
        f"{gap * main.size / max(mask.shape):.0%} of the picture apart, "
        "expected one digit: crop the picture to one"
      )
  return digit


def _belongs(piece: _Piece, main: _Piece, gap: float) -> bool:
  """Tell whether a piece continues the main one, `gap` in units of its size.

  A piece as tall as the main one is a second digit unless it nearly touches;
  a small one, such as the bar of a 5, may lie further off.
  """
  tall = piece.height >= 0.55 * main.height
  return gap <= (0.12 if tall else 0.25)


def _stroke_width(mask: np.ndarray) -> float:
  """Estimate the pen's width in px: twice the median depth of the ridge."""
  depth = ndimage.distance_transform_edt(np.pad(mask, 1))
  ridge = (depth > 0) & (depth >= ndimage.maximum_filter(depth, 3))
  # The depth of the ridge counts from pixel centres: half a pixel less on
  # either side than the stroke covers.
  return float(2 * np.median(depth[ridge]) - 1)


def _thicken(mask: np.ndarray, soft: np.ndarray) -> np.ndarray:
  """Widen thin strokes of soft [H, W] 0..1 to `MIN_STROKE` at MNIST scale."""
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  length = max(np.ptp(rows), np.ptp(columns)) + 1
  width = _stroke_width(mask)
  if width > MAX_STROKE * length / BOX:
    raise _TangleError(
      f"found a solid shape with strokes {width / length:.0%} of its size, "
      f"expected at most {MAX_STROKE / BOX:.0%}: draw the digit with a pen"
    )
  tangle = mask.sum() / (width * length)
  if tangle > MAX_TANGLE:
    raise _TangleError(
      f"too much ink: found strokes {tangle:.0f} times as long as the mark, "
      f"expected at most {MAX_TANGLE:.0f} times: photograph one digit on plain "
      "paper"
    )
  # Widening by 2r also makes the digit 2r longer, which shrinks it again:
  # solve width + 2r = MIN_STROKE · (length + 2r) / BOX.
  lack = (MIN_STROKE * length / BOX - width) / (1 - MIN_STROKE / BOX)
  if lack <= 0:
    return soft
  pad = int(np.ceil(lack / 2)) + 1
  outside = ndimage.distance_transform_edt(~np.pad(mask, pad))
  return np.maximum(np.pad(soft, pad), np.clip(lack / 2 + 1 - outside, 0, 1))


def _render(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Draw the digit of ink [H, W] under mask [H, W] as uint8 [28, 28, 1]."""
  near = ndimage.binary_dilation(mask, iterations=3)
  soft = np.where(near, np.clip((ink - 0.2) / 0.75, 0, 1), 0)
  soft = _thicken(mask, soft)
  rows = np.flatnonzero((soft > 0.1).any(1))
  columns = np.flatnonzero((soft > 0.1).any(0))
  crop = soft[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
  scale = BOX / max(crop.shape)
  height, width = (max(1, round(n * scale)) for n in crop.shape)
  picture = Image.fromarray(crop.astype(np.float32))
  small = np.asarray(
    picture.resize((width, height), Image.Resampling.BOX), np.float32
  )
  # Antialiasing dims a stroke narrower than two pixels; MNIST's reach white.
  small = small * min(1 / small.max(), 1.3)
  small = np.where(small < 0.03, 0, np.minimum(small, 1))
  centre = ndimage.center_of_mass(small)
  top, left = (
    # The outermost ring stays black, whatever the centre of mass asks for.
    int(np.clip(round(CENTRE - c), 1, SIDE - 1 - n))
    for c, n in zip(centre, small.shape, strict=True)
  )
  canvas = np.zeros((SIDE, SIDE, 1), np.uint8)
  canvas[top : top + height, left : left + width, 0] = np.rint(255 * small)
  return canvas
