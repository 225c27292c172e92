"""One digit's ink → an image as MNIST was made."""

import numpy as np
from PIL import Image
from scipy import ndimage

from cvae_jax.apps.photo.pieces import bounds, stroke_width

SIDE = 28  # MNIST canvas
BOX = 20  # longest side of the digit inside it
CENTRE = 14.0  # pixel index of the centre of mass, as in all of MNIST
MIN_STROKE = 1.5  # px at MNIST scale; thinner strokes are thickened to this


def is_mnist(rgb: np.ndarray) -> bool:
  """Tell whether uint8 [H, W, 3] already follows MNIST's convention."""
  grey = rgb[:, :, 0]
  if rgb.shape[:2] != (SIDE, SIDE) or (rgb != grey[:, :, None]).any():
    return False
  if (grey > 0).mean() > 0.5 or grey.max() < 200:
    return False
  extent = max(grey[bounds(grey > 0)].shape)
  offset = np.subtract(ndimage.center_of_mass(grey), CENTRE)
  return abs(extent - BOX) <= 1 and bool((abs(offset) < 0.6).all())


def render(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Draw the digit of ink [H, W] under mask [H, W] as uint8 [28, 28, 1]."""
  near = ndimage.binary_dilation(mask, iterations=3)
  soft = np.where(near, np.clip((ink - 0.2) / 0.75, 0, 1), 0)
  soft = _thicken(mask, soft)
  crop = soft[bounds(soft > 0.1)]
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


def _thicken(mask: np.ndarray, soft: np.ndarray) -> np.ndarray:
  """Widen thin strokes of soft [H, W] 0..1 to `MIN_STROKE` at MNIST scale."""
  crop = mask[bounds(mask)]
  length = max(crop.shape)
  width = stroke_width(crop)
  # Widening by 2r also makes the digit 2r longer, which shrinks it again:
  # solve width + 2r = MIN_STROKE · (length + 2r) / BOX.
  lack = (MIN_STROKE * length / BOX - width) / (1 - MIN_STROKE / BOX)
  if lack <= 0:
    return soft
  pad = int(np.ceil(lack / 2)) + 1
  outside = ndimage.distance_transform_edt(~np.pad(mask, pad))
  return np.maximum(np.pad(soft, pad), np.clip(lack / 2 + 1 - outside, 0, 1))
