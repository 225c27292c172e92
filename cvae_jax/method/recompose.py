"""Colour a grey photo by a map of colours.

A colour is (x, y) as in `cells`: its length is max − min of the channels, its
angle is the hue. Greys and coloured photos are floats in [0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from scipy import ndimage

from cvae_jax.method.names import check

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as `cells.grey`
SMOOTHINGS = ("hue", "rgb")


def paint(colours: Array, grey: Array) -> Array:
  """Colour greys [..., H, W] by maps [..., h, w, 2]: [..., H, W, 3].

  The map is interpolated as vectors, so that no hue wraps. The colour is added
  to the grey as a difference of luma 0, and is shortened where the sum would
  leave [0, 1]. So every pixel keeps its luma, up to rounding.
  """
  shape = (*colours.shape[:-3], *grey.shape[-2:], 2)
  fine = jax.image.resize(colours, shape, "linear")
  away = most_saturated(fine)
  away = away - jnp.sum(away * _weights(away), axis=-1, keepdims=True)
  grey = grey[..., None]
  room = jnp.where(away > 0, 1.0 - grey, grey)
  share = room / jnp.maximum(jnp.abs(away), 1e-6)
  share = jnp.minimum(share.min(axis=-1, keepdims=True), 1.0)
  return grey + share * away


def most_saturated(colours: Array) -> Array:
  """Return the RGB [..., 3] of these hues and chromas with a channel at 0."""
  hue, chroma = _to_polar(colours)
  sextant = hue[..., None] / 60.0
  ramps = [
    jnp.abs(sextant - 3.0) - 1.0,
    2.0 - jnp.abs(sextant - 2.0),
    2.0 - jnp.abs(sextant - 4.0),
  ]
  return chroma[..., None] * jnp.clip(jnp.concatenate(ramps, -1), 0.0, 1.0)


def paint_as_source(
  colours: NDArray, grey: NDArray, smoothing: str = "hue"
) -> NDArray:
  """Colour a grey photo [112, 112] by a map [14, 14, 2] as the source does.

  The source takes the grey for (max + min) / 2. It is not, so saturated
  colours come out too bright or too dark. Nothing is clipped here.

  The smoothing has σ = 2 pixels. "hue", used for models 1 to 3, averages hue
  angles: near red, 359° and 1° become 180°, a wrong colour. "rgb" is the
  source's later version, which smooths the colours without lightness.

  Raises:
    ValueError: the smoothing is none of SMOOTHINGS.
  """
  check(SMOOTHINGS, smoothing, "the smoothing")
  cell = grey.shape[0] // colours.shape[0]
  fine = colours.repeat(cell, axis=0).repeat(cell, axis=1)
  hue, chroma = map(np.asarray, _to_polar(fine))
  if smoothing == "hue":
    hue = _blur(hue)
    chroma = _blur(chroma)
  top = grey + chroma / 2
  low = grey - chroma / 2
  middle = low + (top - low) * (1.0 - np.abs(hue % 120.0 - 60.0) / 60.0)
  names = np.array(["hml", "mhl", "lhm", "lmh", "mlh", "hlm"])
  orders = [["hml".index(name) for name in order] for order in names]
  order = np.array(orders)[np.minimum(hue // 60, 5).astype(int)]
  channels = np.stack([top, middle, low], axis=-1)
  rgb = np.take_along_axis(channels, order, axis=-1)
  if smoothing == "hue":
    return rgb
  light = (rgb.max(-1, keepdims=True) + rgb.min(-1, keepdims=True)) / 2
  return (
    np.stack([_blur(c) for c in np.moveaxis(rgb - light, -1, 0)], -1) + light
  )


def _to_polar(colours: Array) -> tuple[Array, Array]:
  """Return hue in degrees [0, 360) and chroma of colours [..., 2]."""
  x = colours[..., 0]
  y = colours[..., 1]
  hue = jnp.degrees(jnp.arctan2(y, x)) % 360.0
  return hue, jnp.hypot(x, y)


def _weights(rgb: Array) -> Array:
  return jnp.asarray(_LUMA).reshape((1,) * (rgb.ndim - 1) + (3,))


def _blur(channel: NDArray) -> NDArray:
  """Smooth as OpenCV's GaussianBlur: 17 taps, the border mirrored."""
  return ndimage.gaussian_filter(channel, sigma=2.0, mode="mirror", truncate=4)
