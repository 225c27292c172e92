"""The way down a hierarchy of latents, of convolutions or of dense layers.

`nets.hierarchy` has the equations.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets import telling
from cvae_jax.nets.layers import Dense


class Pass(NamedTuple):
  """What the decoder finds on its way down."""

  output: Array  # [B, H, W, channels], not bounded
  z: Array  # [B, Z], e of the heading of nets.hierarchy
  q: Gaussian | None  # over [B, Z]: what z was drawn from, level by level


class TopDown(nn.Module):
  """What decoders of hierarchies have in common.

  A decoder gives its layers by four functions, and `walk` calls them in turn.
  """

  posterior_init = staticmethod(nn.initializers.zeros)

  def activate(self, x: Array) -> Array:
    """Apply the activation."""
    raise NotImplementedError

  def widen(self, x: Array, level: int) -> Array:
    """Map what follows a level to what the next level, `level`, begins with."""
    raise NotImplementedError

  def join_image(self, both: Array, level: int) -> Array:
    """Map what is known above a level, beside the image's map, to features."""
    raise NotImplementedError

  def mix(self, x: Array, level: int) -> Array:
    """Map what a level leaves to what the next layer activates."""
    raise NotImplementedError

  def walk(
    self,
    x: Array,
    parts: Sequence[Array],
    told: Array | None,
    maps: Sequence[Array] | None,
    count: int,
  ) -> tuple[Array, Array, Gaussian | None]:
    """Go down: return the last features, e [B, Z] and its posterior.

    Args:
      x: [B, ..., F], what the top level begins with.
      parts: e of each level, [B, ..., latents]; beside maps, draws of N(0, I).
      told: the embedded condition [B, E], None without one.
      maps: of the images, for each level.
      count: of layers, at least as many as levels.
    """
    found = []
    for i in range(count):
      if i:
        x = self.widen(x, i)
      if told is not None:
        x = telling.modulate(x, told, i)
      if i < len(parts):
        x, part, q = self._level(x, parts[i], maps and maps[i], i)
        found.append((part, q))
      x = self.activate(self.mix(x, i))
    e = join([part for part, _ in found])
    if maps is None:
      return x, e, None
    mean = join([q.mean for _, q in found])
    logvar = join([q.logvar for _, q in found])
    return x, e, Gaussian(mean, logvar)

  def _level(
    self, x: Array, e: Array, seen: Array | None, level: int
  ) -> tuple[Array, Array, Gaussian | None]:
    """Add a level's latents to features [B, ..., F]; return e and q too."""
    count = e.shape[-1]
    above = self.activate(x)

    # POSTERIOR: q(e_l | e_<l, x, c), from the features so far and the image's.
    q = None
    if seen is not None:
      both = jnp.concatenate([above, seen], axis=-1)
      both = self.activate(self.join_image(both, level))
      begin = self.posterior_init
      q = self._gaussian(both, count, f"posterior_{level}", begin)
      e = q.mean + jnp.exp(0.5 * q.logvar) * e

    # PRIOR: p(z_l | z_<l, c) = N(m, s²), and z_l = m + s · e_l.
    prior = self._gaussian(above, count, f"prior_{level}")
    z = prior.mean + jnp.exp(0.5 * prior.logvar) * e
    return x + Dense(x.shape[-1], name=f"latent_{level}")(z), e, q

  def _gaussian(
    self,
    x: Array,
    count: int,
    name: str,
    begin: nn.initializers.Initializer = nn.initializers.zeros,
  ) -> Gaussian:
    """Return a Gaussian of `count` latents; from zeros it begins as N(0, I)."""
    heads = Dense(2 * count, begin, name=name)(x)
    return Gaussian(*jnp.split(heads, 2, axis=-1))


def split(e: Array, levels: Sequence[tuple[int, ...]]) -> list[Array]:
  """Cut e [B, Z] into the latents of each level, [B, *level]."""
  ends = np.cumsum([math.prod(level) for level in levels])
  parts = jnp.split(e, ends[:-1], axis=-1)
  return [
    part.reshape(-1, *level) for part, level in zip(parts, levels, strict=True)
  ]


def join(parts: Sequence[Array]) -> Array:
  """Lay the latents [B, ..., count] of all levels out as one row, [B, Z]."""
  rows = [part.reshape(part.shape[0], -1) for part in parts]
  return jnp.concatenate(rows, axis=-1)
