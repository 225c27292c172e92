"""Turn a photo of one hand-drawn digit into an MNIST image.

The steps, one module each:

  reading  any image → 8-bit RGB, upright, at a working size
  ink      how far each pixel departs from a smooth background, along one
           colour axis, which decides the polarity by itself
  pieces   the connected pieces of ink that make up one digit
  layout   that digit as MNIST was made: longest side 20 px, centre of mass in
           the middle of 28×28
"""

from pathlib import Path

import numpy as np
from PIL import Image

from cvae_jax.apps.photo.errors import PhotoError
from cvae_jax.apps.photo.ink import ink_map
from cvae_jax.apps.photo.layout import is_mnist, render
from cvae_jax.apps.photo.pieces import find_digit
from cvae_jax.apps.photo.reading import load_rgb, resize_for_work

__all__ = ["PhotoError", "digit_from_photo"]


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
    `layout.MIN_STROKE` are thickened to it. An image that is already MNIST's is
    returned as it is.

  Raises:
    PhotoError: the picture cannot be read, is smaller than 8×8, or shows no
      digit, several digits, or a texture instead of a digit.
  """
  rgb = load_rgb(image)
  if is_mnist(rgb):
    return rgb[:, :, :1].copy()
  ink = ink_map(*resize_for_work(rgb))
  return render(ink, find_digit(ink))
