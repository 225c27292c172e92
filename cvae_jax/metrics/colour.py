"""Compare a coloured photo with the true one: ΔE, chroma, PSNR, variety.

Photos are float [..., H, W, 3] sRGB in [0, 1]; each figure is one photo's.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage import color


def lab(rgb: NDArray) -> NDArray:
  """Return CIELAB (D65) of sRGB photos, clipped to what a picture can show."""
  return color.rgb2lab(np.clip(rgb, 0.0, 1.0))


def delta_e(a: NDArray, b: NDArray) -> float:
  """Return the mean CIEDE2000 difference of two photos in CIELAB."""
  return float(color.deltaE_ciede2000(a, b).mean())


def chroma_ratio(found: NDArray, true: NDArray) -> float:
  """Return the mean chroma C* of a photo over the true one's, in CIELAB.

  Below 1 the photo is too pale, as every mean of several guesses is.
  """
  ours, theirs = (np.hypot(p[..., 1], p[..., 2]).mean() for p in (found, true))
  return float(ours / max(theirs, 1e-6))


def psnr(found: NDArray, true: NDArray) -> float:
  """Return the peak signal-to-noise ratio in dB of RGB in [0, 1], clipped."""
  error = np.mean((np.clip(found, 0.0, 1.0) - true) ** 2)
  return float(-10.0 * np.log10(max(error, 1e-10)))


def variety(variants: Sequence[NDArray]) -> float:
  """Return the mean CIEDE2000 between pairs of a photo's variants (CIELAB)."""
  pairs = itertools.combinations(variants, 2)
  return float(np.mean([delta_e(a, b) for a, b in pairs]))
