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
from cvae_jax.nets import condition_embedding
from cvae_jax.nets.images import Shape
from cvae_jax.nets.layers import Dense


class Pass(NamedTuple):
  """What the decoder finds on its way down."""

  output: Array  # [B, H, W, channels], not bounded
  z: Array  # [B, Z], e of the heading of nets.hierarchy
  q: Gaussian | None  # over [B, Z]: what z was drawn from, level by level


class TopDown(nn.Module):
  """Goes down from a learned start to the image, through all levels.

  Subclasses give the layers, by the functions below.

  Attributes:
    shape: of an image.
    levels: latents of each level, top first.
    channels: of the output, at least the image's.
    angles: of the condition.
  """

  shape: Shape
  levels: Sequence[int]
  channels: int
  angles: condition_embedding.Angles = condition_embedding.Angles()

  posterior_init = staticmethod(nn.initializers.zeros)

  @nn.compact
  def __call__(
    self, e: Array, condition: Array, maps: Sequence[Array] | None = None
  ) -> Pass:
    """Decode e [B, Z]; with maps of images, infer e from noise and decode it.

    Args:
      e: latents; beside maps, a draw of N(0, I) of the same shape.
      condition: [B, A]. Every level sees it.
      maps: of the encoder.
    """
    parts = split(e, self.latents())
    features = self.features()
    embedded = condition_embedding.embed(
      condition, self.embedding(), self.angles
    )
    start = self.param("start", nn.initializers.zeros, features[0])
    x = jnp.broadcast_to(start, (e.shape[0], *start.shape))
    found = []
    for i in range(len(features)):
      if i:
        x = self.widen(x, i)
      if embedded is not None:
        x = condition_embedding.modulate(x, embedded, i)
      if i < len(parts):
        x, part, q = self._level(x, parts[i], maps and maps[i], i)
        found.append((part, q))
      x = self.activate(self.mix(x, i))
    output = self.draw_image(x)
    e = join([part for part, _ in found])
    if maps is None:
      return Pass(output, e, None)
    mean = join([q.mean for _, q in found])
    logvar = join([q.logvar for _, q in found])
    return Pass(output, e, Gaussian(mean, logvar))

  def latents(self) -> list[tuple[int, ...]]:
    """Return the shape of each level's latents, top first."""
    raise NotImplementedError

  def features(self) -> list[tuple[int, ...]]:
    """Return the shape of the features of each layer, top first.

    There are at least as many as levels.
    """
    raise NotImplementedError

  def embedding(self) -> int:
    """Return the size of an embedded condition."""
    raise NotImplementedError

  def activate(self, x: Array) -> Array:
    """Apply the activation."""
    raise NotImplementedError

  def widen(self, x: Array, layer: int) -> Array:
    """Map the features of the layer above to those of `layer`."""
    raise NotImplementedError

  def join_image(self, both: Array, level: int) -> Array:
    """Map what is known above a level, beside the image's map, to features."""
    raise NotImplementedError

  def mix(self, x: Array, layer: int) -> Array:
    """Map what a level leaves to what is activated next."""
    raise NotImplementedError

  def draw_image(self, x: Array) -> Array:
    """Map the last features to the output [B, H, W, channels]."""
    raise NotImplementedError

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
