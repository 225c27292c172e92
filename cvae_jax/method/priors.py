"""Priors of adversarial autoencoders, as points and the regions they lie in.

Each class of the data can have a region of its own: the discriminator then
sees points together with their region (Makhzani et al. 2015, §2.3).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

REGIONS = 10
ROLL_START = 4.7
ROLL_END = 14.3  # between these t is cut into regions
ROLL_SCALE = 7.5  # brings the roll's radius of 14 near the others'
PETAL = (1.4, 0.5, 0.1)  # a mixture component's distance, length and width


class Draw(NamedTuple):
  """Points of a prior, and the regions that they lie in."""

  z: Array  # [N, Z]
  region: Array  # int32 [N], 0 to 9


def normal(key: Array, count: int, latents: int = 2) -> Draw:
  """Draw from N(0, I); the regions are ten sectors of the first two axes.

  The angle is taken from the second axis, atan2(z₀, z₁), as the source does.
  """
  z = jax.random.normal(key, (count, latents))
  turn = jnp.arctan2(z[:, 0], z[:, 1]) / (2 * math.pi) + 0.5  # [0, 1]
  return Draw(z, _bin(turn))


def swiss_roll(key: Array, count: int, latents: int = 2) -> Draw:
  """Draw scikit-learn's swiss roll in two dimensions, divided by 7.5.

  It is (t cos t, t sin t) with t = 1.5 π (1 + 2u), u uniform, and noise 0.1.
  The regions are ten intervals of t of equal length.
  """
  _only_plane("swiss_roll", latents)
  along, noise = jax.random.split(key)
  t = 1.5 * math.pi * (1.0 + 2.0 * jax.random.uniform(along, (count,)))
  z = jnp.stack([t * jnp.cos(t), t * jnp.sin(t)], axis=-1)
  z = (z + 0.1 * jax.random.normal(noise, z.shape)) / ROLL_SCALE
  return Draw(z, _bin((t - ROLL_START) / (ROLL_END - ROLL_START)))


def mixture(key: Array, count: int, latents: int = 2) -> Draw:
  """Draw from ten Gaussians that lie like petals; each is a region."""
  _only_plane("mixture", latents)
  which, noise = jax.random.split(key)
  region = jax.random.randint(which, (count,), 0, REGIONS)
  distance, length, width = PETAL
  x, y = jax.random.normal(noise, (2, count))
  x = distance + length * x
  y = width * y
  angle = 2 * math.pi * region / REGIONS
  z = jnp.stack(
    [
      x * jnp.cos(angle) - y * jnp.sin(angle),
      x * jnp.sin(angle) + y * jnp.cos(angle),
    ],
    axis=-1,
  )
  return Draw(z, region)


PRIORS = {"normal": normal, "swiss_roll": swiss_roll, "mixture": mixture}


def _only_plane(name: str, latents: int) -> None:
  if latents != 2:
    raise ValueError(
      f"the prior {name!r} lies in the plane, found latents={latents}: use 2, "
      "or the prior 'normal'"
    )


def _bin(share: Array) -> Array:
  return jnp.clip(share * REGIONS, 0, REGIONS - 1).astype(jnp.int32)
