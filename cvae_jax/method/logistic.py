"""The probability of one of 256 levels under a logistic, in closed form.

The level x has the bounds x ± 1/255. With c = |x − mean| / s and
h = 1 / (255 s), and C = exp(−c), H = exp(−h), both in [0, 1],

    σ(c + h) − σ(c − h) = C (1 − H²) / ((C + H) (1 + C H))

has no difference of sigmoids. The first and the last level take all the mass
beyond them. There 1 − H² is left out, and so is one of the other two:
C / (C + H) remains if the mean is on the inner side of the level, and
1 / (1 + C H) if it is on the outer side.

The derivative is written out here, from the same C and H. On XLA:CPU the
derivative of a form with softplus takes several times as long.
"""

import jax
import jax.numpy as jnp
from jax import Array

LEVELS = 255  # steps between black and white


@jax.custom_jvp
def log_mass(x: Array, mean: Array, log_scale: Array) -> Array:
  """Return log P(level x) of a logistic, for values in [−1, 1].

  Args:
    x: levels, [...].
    mean: of the logistic, [...].
    log_scale: log s, [...]. Above −7, as exp(−h) would be 0 far below it.
  """
  return _mass(x, mean, log_scale)[0]


@log_mass.defjvp
def _tangent(primals, tangents):
  x, mean, log_scale = tangents
  value, by_mean, by_log_scale = _mass(*primals)
  return value, by_mean * (mean - x) + by_log_scale * log_scale


def _mass(x: Array, mean: Array, log_scale: Array) -> tuple[Array, ...]:
  """Return log P and its derivatives by the mean and by the log-scale."""
  inverse = jnp.exp(-log_scale)
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
  log_p = jnp.log(
    jnp.where(edge, 1.0, width)
    / (jnp.where(outside, 1.0, a) * jnp.where(inside, 1.0, b))
  )
  log_p -= jnp.where(outside, 0.0, c)

  # σ(h − c) and σ(−h − c), each where its factor is.
  inner = jnp.where(outside, 0.0, half / a)
  outer = jnp.where(inside, 0.0, near * half / b)
  by_c = outer - inner
  by_h = inner + outer + jnp.where(edge, 0.0, 2.0 * half * half / width)
  by_mean = jnp.where(apart < 0.0, by_c, -by_c) * inverse
  return log_p, by_mean, -(c * by_c + h * by_h)
