"""RGB → ink: how far each pixel departs from a smooth background."""

import numpy as np
from scipy import ndimage

from cvae_jax.apps.photo.errors import PhotoError

MIN_CONTRAST = 10.0  # grey levels of 255 between ink and paper
MIN_SNR = 4.5  # ink contrast over the grain of the background


def ink_map(rgb: np.ndarray, grain: float) -> np.ndarray:
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
  shade = _find_shade(ink)
  ink = ink - shade
  if axis.sum() < 0:
    # Dark ink scatters a share of the light: undo a shadow on the paper.
    light = paper.mean(-1) - np.maximum(shade, 0) / np.sqrt(3)
    ink = ink * np.clip(np.median(light) / np.maximum(light, 1), 0.5, 4)
  peak = _find_peak(ink)
  bare = ink[ink < 0.35 * peak]
  noise = 1.48 * np.median(abs(bare - np.median(bare))) if bare.size else 0.0
  if peak < max(MIN_CONTRAST, MIN_SNR * noise):
    raise PhotoError(
      f"no digit found: the strongest mark differs from the background by "
      f"{peak:.0f} of 255 levels (background grain {noise:.0f}), expected a "
      "clear stroke: write darker or add light"
    )
  return ink / peak


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


def _find_shade(ink: np.ndarray) -> np.ndarray:
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


def _find_peak(ink: np.ndarray) -> float:
  """Find the typical level of the strokes, given that they stand out."""
  peak = float(ink.max())
  for _ in range(10):
    peak = float(ink[ink >= 0.5 * peak].mean()) if peak > 0 else 0.0
  return peak
