"""The probability of one of 256 levels under a mixture of logistics.

Values are in [−1, 1] here, and the level x has the bounds x ± 1/255. With
c = |x − mean| / s and h = 1 / (255 s), and C = exp(−c), H = exp(−h),

    σ(c + h) − σ(c − h) = C (1 − H²) / ((C + H) (1 + C H))

has no difference of sigmoids. The first and the last level take all the mass
beyond them. There 1 − H² is left out, and so is one of the other two:
C / (C + H) remains if the mean is on the inner side of the level, and
1 / (1 + C H) if it is on the outer side.

The derivative is written out here, from the same C and H, and is laid out as
the decoder's output is. On XLA:CPU the derivative of a form with softplus and
slices takes three times as long, value and gradient together.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

LEVELS = 255  # steps between black and white
LOG_SCALES = (-7.0, 7.0)  # limits of a logistic, for values in [−1, 1]


class _Part(NamedTuple):
  """What log P and its derivatives are made of, of one logistic each."""

  # At the first and the last level 1 if the mean is on its outer side, else −1.
  edge: Array  # 0 at the levels between
  apart: Array  # (x − mean) / s
  inverse: Array  # 1 / s
  near: Array  # C
  half: Array  # H

  @property
  def width(self) -> Array:
    """Return 1 − H², which a difference would round away where h is small."""
    return jnp.tanh(self.inverse / LEVELS) * (1.0 + self.half * self.half)


@jax.custom_jvp
def log_mass(x: Array, parts: Array) -> Array:
  """Return log P(level x) of each value, [...].

  Args:
    x: values in [0, 1], [...].
    parts: K means, K log-scales and, if K > 1, K logits, [..., 2 or 3 K].
  """
  mean, log_scale, logits = _split(parts)
  found = _log_p(_part(x, mean, log_scale, logits is not None))
  return found if logits is None else _mix(found, logits)[0]


def _tangent(primals, tangents):
  x, parts = primals
  mean, log_scale, logits = _split(parts)
  part = _part(x, mean, log_scale, logits is not None)
  # With barriers XLA:CPU makes half as many passes over the values.
  part = jax.lax.optimization_barrier(part)
  value = _log_p(part)
  each = _slopes(jax.lax.optimization_barrier(part), log_scale)
  if logits is None:
    slopes = jnp.stack(each, axis=-1)
    means = slopes[..., :1]
  else:
    value, given, share = _mix(value, logits)
    weighed = [given * slope for slope in each]
    slopes = jnp.concatenate([*weighed, given - share], axis=-1)
    means = weighed[0]
  change = jnp.zeros_like(value)
  if not isinstance(tangents[1], SymbolicZero):
    change += jnp.sum(slopes * tangents[1], axis=-1)
  if not isinstance(tangents[0], SymbolicZero):
    change -= 2.0 * tangents[0] * jnp.sum(means, axis=-1)
  return value, change


log_mass.defjvp(_tangent, symbolic_zeros=True)


def _split(parts: Array) -> tuple[Array, Array, Array | None]:
  """Return means and log-scales [...], or [..., K] and logits if K > 1.

  An axis of length 1 would take XLA:CPU six times as long.
  """
  if parts.shape[-1] == 2:
    return parts[..., 0], parts[..., 1], None
  return tuple(jnp.split(parts, 3, axis=-1))


def _part(x: Array, mean: Array, log_scale: Array, mixed: bool) -> _Part:
  x = 2.0 * (x[..., None] if mixed else x) - 1.0
  inverse = jnp.exp(-jnp.clip(log_scale, *LOG_SCALES))
  apart = (x - mean) * inverse
  first = jnp.where(x < -1.0 + 1.0 / LEVELS, 1.0, 0.0)
  edge = jnp.where(x > 1.0 - 1.0 / LEVELS, -1.0, first)
  edge *= jnp.where(apart < 0.0, -1.0, 1.0)
  near = jnp.exp(-jnp.abs(apart))
  return _Part(edge, apart, inverse, near, jnp.exp(-inverse / LEVELS))


def _log_p(part: _Part) -> Array:
  edge, apart, _, near, half = part
  a = jnp.where(edge > 0.0, 1.0, near + half)
  b = jnp.where(edge < 0.0, 1.0, 1.0 + near * half)
  width = jnp.where(edge == 0.0, part.width, 1.0)
  return jnp.log(width / (a * b)) - jnp.where(edge > 0.0, 0.0, jnp.abs(apart))


def _slopes(part: _Part, log_scale: Array) -> tuple[Array, Array]:
  """Return the derivatives of log P by the mean and by the log-scale."""
  edge, apart, inverse, near, half = part
  inner = jnp.where(edge > 0.0, 0.0, half / (near + half))  # σ(h − c)
  outer = jnp.where(edge < 0.0, 0.0, near * half / (1.0 + near * half))
  wide = jnp.where(edge == 0.0, 2.0 * half * half / part.width, 0.0)
  by_c = outer - inner
  by_h = outer + inner + wide
  by_mean = jnp.where(apart < 0.0, by_c, -by_c) * inverse
  by_scale = -(jnp.abs(apart) * by_c + inverse / LEVELS * by_h)
  low, high = LOG_SCALES
  held = (log_scale < low) | (log_scale > high)
  return by_mean, jnp.where(held, 0.0, by_scale)


def _mix(log_p: Array, logits: Array) -> tuple[Array, Array, Array]:
  """Return log Σ share · P, p(component | level) and the shares [..., K]."""
  log_share = jax.nn.log_softmax(logits)
  joint = log_p + log_share
  total = jax.nn.logsumexp(joint, axis=-1)
  return total, jnp.exp(joint - total[..., None]), jnp.exp(log_share)
