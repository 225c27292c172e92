"""The embedding of a condition that a network's layers read."""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cvae_jax.nets.fast import ops
from cvae_jax.nets.layers import Dense
from cvae_jax.types import Place


class Angles(NamedTuple):
  """Which entries of a condition are angles, and up to which harmonic."""

  pairs: tuple[tuple[int, int], ...] = ()  # entries: cosine and sine
  harmonics: int = 1  # k of cos kα and sin kα, at most


def angles(places: Sequence[Place], harmonics: int) -> Angles:
  """Return the angles among a condition's attributes."""
  pairs = [p.entries for p in places if p.head == "circular"]
  return Angles(tuple((pair[0], pair[1]) for pair in pairs), harmonics)


class Embedding(nn.Module):
  """An embedding of a condition [B, A], with harmonics of its angles.

  A square comes round after a quarter of a turn, so its corners follow cos 4α
  and sin 4α. From cos α and sin α alone a network learns these late.
  """

  features: int
  angles: Angles = Angles()

  @nn.compact
  def __call__(self, condition: Array) -> Array:
    """Map [B, A] to [B, features]."""
    parts = [condition]
    for pair in self.angles.pairs:
      parts += overtones(condition, pair, self.angles.harmonics)
    x = jnp.concatenate(parts, axis=-1) if len(parts) > 1 else condition
    x = ops.silu(Dense(self.features, name="dense_0")(x))
    return ops.silu(Dense(self.features, name="dense_1")(x))


def overtones(
  condition: Array, pair: tuple[int, int], harmonics: int
) -> list[Array]:
  """Return cos kα and sin kα of k from 2 on, each [B, 1].

  They are (cos α + i sin α)ᵏ: an unknown angle, which is 0 and 0, stays so.
  """
  first, second = (condition[:, i : i + 1] for i in pair)
  found = [first, second]
  for _ in range(harmonics - 1):
    cosine, sine = found[-2:]
    found.append(cosine * first - sine * second)
    found.append(cosine * second + sine * first)
  return found[2:]


def embed(condition: Array | None, size: int, angles: Angles) -> Array | None:
  """Return a condition's embedding, None where there is nothing to embed."""
  if condition is None or not condition.shape[-1]:
    return None
  return Embedding(size, angles, name="embedding")(condition)


def modulate(x: Array, embedded: Array, level: int) -> Array:
  """Scale and shift features [B, ..., F] by an embedded condition [B, E]."""
  width = x.shape[-1]
  moves = Dense(2 * width, nn.initializers.zeros, name=f"told_{level}")(
    embedded
  )
  moves = moves.reshape(-1, *[1] * (x.ndim - 2), 2 * width)
  scale, shift = jnp.split(moves, 2, axis=-1)
  return x * (1.0 + scale) + shift
