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

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

LEVELS = 255  # steps between black and white
LOG_SCALES = (-7.0, 7.0)  # limits of a logistic, for values in [−1, 1]


@jax.custom_jvp
def log_mass(x: Array, parts: Array) -> Array:
  """Return log P(level x) of each value, [...].

  Args:
    x: values in [0, 1], [...].
    parts: K means, K log-scales and, if K > 1, K logits, [..., 2 or 3 K].
  """
  return _mass(x, parts)[0]


def _tangent(primals, tangents):
  value, slopes = _mass(*primals)
  x, parts = tangents
  change = jnp.zeros_like(value)
  if not isinstance(parts, SymbolicZero):
    change += jnp.sum(slopes * parts, axis=-1)
  if not isinstance(x, SymbolicZero):
    means = slopes[..., : count(slopes.shape[-1])]
    change -= 2.0 * x * jnp.sum(means, axis=-1)
  return value, change


log_mass.defjvp(_tangent, symbolic_zeros=True)


def count(width: int) -> int:
  """Return the number of logistics K of `width` numbers for each value."""
  return max(1, width // 3)


def _mass(x: Array, parts: Array) -> tuple[Array, Array]:
  """Return log P, [...], and its derivatives by the parts, [..., 2 or 3 K]."""
  size = count(parts.shape[-1])
  x = 2.0 * x - 1.0
  if size == 1:  # an axis of length 1 would take XLA:CPU six times as long
    log_p, *slopes = _one(x, parts[..., 0], parts[..., 1])
    return log_p, jnp.stack(slopes, axis=-1)
  mean, log_scale, logits = jnp.split(parts, 3, axis=-1)
  log_p, by_mean, by_scale = _one(x[..., None], mean, log_scale)
  log_share = jax.nn.log_softmax(logits)
  joint = log_p + log_share
  total = jax.nn.logsumexp(joint, axis=-1)
  given = jnp.exp(joint - total[..., None])  # p(component | level)
  slopes = [given * by_mean, given * by_scale, given - jnp.exp(log_share)]
  return total, jnp.concatenate(slopes, axis=-1)


def _one(x: Array, mean: Array, log_scale: Array) -> tuple[Array, ...]:
  """Return log P of each logistic, its derivatives by mean and log-scale."""
  bounded = jnp.clip(log_scale, *LOG_SCALES)
  inverse = jnp.exp(-bounded)
  apart = (x - mean) * inverse
  c = jnp.abs(apart)
  h = inverse / LEVELS
  near = jnp.exp(-c)  # C
  half = jnp.exp(-h)  # H
  # 1 − H², which a difference would round away where h is small.
  width = jnp.tanh(h) * (1.0 + half * half)

  first = x < -1.0 + 1.0 / LEVELS
  last = x > 1.0 - 1.0 / LEVELS
  edge = first | last
  outside = edge & ((apart >= 0.0) == first)
  inside = edge & ~outside

  a = near + half
  b = 1.0 + near * half
  divisor = jnp.where(outside, 1.0, a) * jnp.where(inside, 1.0, b)
  log_p = jnp.log(jnp.where(edge, 1.0, width) / divisor)
  log_p -= jnp.where(outside, 0.0, c)

  # σ(h − c) and σ(−h − c), each where its factor is.
  inner = jnp.where(outside, 0.0, half / a)
  outer = jnp.where(inside, 0.0, near * half / b)
  by_c = outer - inner
  by_h = inner + outer + jnp.where(edge, 0.0, 2.0 * half * half / width)
  by_mean = jnp.where(apart < 0.0, by_c, -by_c) * inverse
  by_scale = -(c * by_c + h * by_h)
  return log_p, by_mean, jnp.where(bounded == log_scale, by_scale, 0.0)
