"""Show images of any number of channels: grey, RGB or colours laid over.

One channel is grey and three are RGB. Of any other number, each channel has a
colour, and the colours are laid over each other as light is: a pixel is
1 − Π (1 − x_c · colour_c). So it is between 0 and 1 whatever the channels hold.
"""

import colorsys

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

PLAIN = (1, 3)  # channels that are drawn as they are
FEW = {  # of so few, hues would hide a channel
  1: ((1.0, 1.0, 1.0),),
  2: ((0.0, 1.0, 0.0), (1.0, 0.0, 1.0)),  # told apart by the colour-blind too
}


def colours(channels: int) -> NDArray[np.float32]:
  """Return the colour of each channel, [C, 3] in [0, 1].

  One channel is white, two are green and magenta. More have hues evenly spaced,
  from red: three are red, green and blue.
  """
  hues = [colorsys.hsv_to_rgb(c / channels, 1.0, 1.0) for c in range(channels)]
  return np.array(FEW.get(channels, hues), np.float32)


def visible(images: ArrayLike) -> NDArray:
  """Map images [..., C] to [..., 1] or [..., 3], of the same type.

  Args:
    images: uint8, or floats in [0, 1], which are clipped where C is neither 1
      nor 3.
  """
  images = np.asarray(images)
  channels = images.shape[-1]
  if channels in PLAIN:
    return images
  whole = images.dtype == np.uint8
  light = images / np.float32(255) if whole else np.clip(images, 0.0, 1.0)
  dark = np.ones((*images.shape[:-1], 3), np.float32)
  for c, colour in enumerate(colours(channels)):
    dark *= 1.0 - light[..., c, None] * colour
  if whole:
    return np.rint(255.0 * (1.0 - dark)).astype(np.uint8)
  return (1.0 - dark).astype(images.dtype)


def to_pillow(picture: NDArray[np.uint8]) -> Image.Image:
  """Return a picture [H, W, C] as Pillow has it: grey or RGB."""
  shown = visible(picture)
  return Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else shown)
