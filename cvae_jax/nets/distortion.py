"""Distortions of images: small linear maps and shifts, each image its own."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def distort(key: Array, images: Array, linear: float, shift: float) -> Array:
  """Turn, shear, stretch and move each of images [B, H, W, C] at random.

  The pixel at p, counted from the middle, is taken from the place
  p + linear · M p + shift · u, between four pixels. M is a matrix of draws of
  N(0, 1), u is uniform in [−1, 1]². Outside the image all is 0.

  Args:
    key: a random key.
    images: float.
    linear: the spread of the map's entries, about the tangent of an angle.
    shift: pixels.
  """
  if not linear and not shift:
    return images
  count, height, width, _ = images.shape
  of_map, of_shift = jax.random.split(key)
  change = linear * jax.random.normal(of_map, (count, 2, 2))
  by = shift * jax.random.uniform(of_shift, (count, 2), minval=-1.0, maxval=1.0)
  place = np.stack(np.mgrid[:height, :width], axis=-1).reshape(-1, 2)
  off = place - np.array([height - 1, width - 1]) / 2  # [H · W, 2]
  off = jnp.asarray(off, images.dtype)
  source = jnp.einsum("bij,pj->bpi", change, off) + by[:, None]
  source += jnp.asarray(place, images.dtype)[None]
  return _sample(images, source).reshape(images.shape)


def _sample(images: Array, places: Array) -> Array:
  """Return bilinear values [B, P, C] of images at places [B, P, 2]."""
  count, height, width, channels = images.shape
  rows = images.reshape(count, -1, channels)
  low = jnp.floor(places)
  share = places - low
  low = low.astype(jnp.int32)
  found = jnp.zeros((*places.shape[:2], channels))
  for down in (0, 1):
    for right in (0, 1):
      y = low[..., 0] + down
      x = low[..., 1] + right
      inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
      at = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
      weight = jnp.where(down, share[..., 0], 1.0 - share[..., 0])
      weight *= jnp.where(right, share[..., 1], 1.0 - share[..., 1])
      value = jnp.take_along_axis(rows, at[..., None], axis=1)
      found += jnp.where(inside, weight, 0.0)[..., None] * value
  return found
