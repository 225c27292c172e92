"""The distributions of pixels: nats, mean and sample of a decoder's output.

Values are flat: targets x [..., D] in [0, 1] and outputs [..., D · width],
where a decoder gives `width` numbers for each value. The likelihood `Sigma`
needs log-variances beside the output, `logvar` [..., S]: S is 1 for all values
or C, one for each channel. For the other likelihoods `logvar` is None.
"""

import math
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import losses
from cvae_jax.method.logistic import LEVELS, LOG_SCALES, log_mass
from cvae_jax.method.softplus import softplus

# The variance of rounding to 8 bits: an exact output has no smaller one.
LEAST = (1 / LEVELS) ** 2 / 12


class Likelihood(Protocol):
  """What a system asks of p(x | z)."""

  width: int  # numbers of the decoder for each value
  means: bool  # the numbers are means in [0, 1], else any real numbers

  def nats(self, x: Array, output: Array, logvar: Array | None = None) -> Array:
    """Return −log p(x | output), summed over the last axis, [...]."""

  def mean(self, output: Array) -> Array:
    """Return the mean of each value, [..., D] in [0, 1]."""

  def sample(self, key: Array, output: Array, logvar=None) -> Array:
    """Draw values [..., D]."""


class Gaussian(NamedTuple):
  """N(output, 1 / (2 weight)): weight × squared error, plus a constant."""

  weight: float
  width: int = 1
  means: bool = True

  def nats(self, x: Array, output: Array, logvar=None) -> Array:
    """Return weight · Σ (x − output)² + ½ D log(π / weight)."""
    constant = 0.5 * x.shape[-1] * math.log(math.pi / self.weight)
    return self.weight * jnp.sum((x - output) ** 2, axis=-1) + constant

  def mean(self, output: Array) -> Array:
    """Return the output."""
    return output

  def sample(self, key: Array, output: Array, logvar=None) -> Array:
    """Draw from N(output, 1 / (2 weight)); values may lie outside [0, 1]."""
    noise = jax.random.normal(key, output.shape, output.dtype)
    return output + noise / math.sqrt(2 * self.weight)


class Sigma(NamedTuple):
  """N(output, σ²) with one σ² for all values or one for each channel.

  With `learned`, σ² is a parameter. Else it is the value that fits a batch
  best, the batch's mean squared error (Rybkin et al. 2021).
  """

  learned: bool
  channels: int = 1  # those of the image where each has a σ², else 1
  width: int = 1
  means: bool = True

  def nats(self, x: Array, output: Array, logvar: Array) -> Array:
    """Return ½ Σ (log 2πσ² + (x − output)² / σ²)."""
    logvar = self._repeat(logvar, x)
    error = (x - output) ** 2 * jnp.exp(-logvar)
    return 0.5 * jnp.sum(math.log(2 * math.pi) + logvar + error, axis=-1)

  def mean(self, output: Array) -> Array:
    """Return the output."""
    return output

  def sample(self, key: Array, output: Array, logvar: Array) -> Array:
    """Draw from N(output, σ²); values may lie outside [0, 1]."""
    noise = jax.random.normal(key, output.shape, output.dtype)
    return output + jnp.exp(0.5 * self._repeat(logvar, output)) * noise

  def optimal(self, x: Array, output: Array) -> Array:
    """Return the log-variances [S] that fit x [B, D] best."""
    error = ((x - output) ** 2).reshape(-1, self.channels).mean(axis=0)
    return jnp.log(jnp.maximum(error, LEAST))

  def _repeat(self, logvar: Array, x: Array) -> Array:
    """Repeat log-variances [..., S] for each value, [..., D]."""
    each = jnp.tile(logvar, x.shape[-1] // self.channels)
    return each.reshape((1,) * (x.ndim - each.ndim) + each.shape)


class Bernoulli(NamedTuple):
  """Values that are 0 or 1; a grey value counts as the mean of many such."""

  width: int = 1
  means: bool = False

  def nats(self, x: Array, output: Array, logvar=None) -> Array:
    """Return the binary cross-entropy of logits, summed."""
    return losses.bernoulli_nats(x, output)

  def mean(self, output: Array) -> Array:
    """Return the sigmoid of the logits."""
    return jax.nn.sigmoid(output)

  def sample(self, key: Array, output: Array, logvar=None) -> Array:
    """Draw zeros and ones."""
    drawn = jax.random.bernoulli(key, jax.nn.sigmoid(output))
    return drawn.astype(output.dtype)


class ContinuousBernoulli(NamedTuple):
  """The density on [0, 1] whose exponent is the binary cross-entropy.

  See Loaiza-Ganem and Cunningham 2019. With logits l its normaliser is
  l / tanh(l / 2).
  """

  width: int = 1
  means: bool = False

  def nats(self, x: Array, output: Array, logvar=None) -> Array:
    """Return the binary cross-entropy less the log of the normaliser."""
    entropy = softplus(output) - x * output
    return jnp.sum(entropy - _log_normaliser(output), axis=-1)

  def mean(self, output: Array) -> Array:
    """Return the mean, which is nearer to ½ than the sigmoid."""
    small = jnp.abs(output) < 0.1
    safe = jnp.where(small, 1.0, output)
    mean = 0.5 / jnp.tanh(0.5 * safe) + 0.5 - 1.0 / safe
    return jnp.where(small, 0.5 + output / 12 - output**3 / 720, mean)

  def sample(self, key: Array, output: Array, logvar=None) -> Array:
    """Draw by the inverse of the distribution function."""
    u = jax.random.uniform(key, output.shape, output.dtype)
    small = jnp.abs(output) < 1e-3
    size = jnp.where(small, 1.0, jnp.abs(output))
    # For −|l| nothing overflows. For |l| the sample is 1 minus this one.
    low = -jnp.log1p(u * jnp.expm1(-size)) / size
    return jnp.where(small, u, jnp.where(output > 0, 1.0 - low, low))


class Logistic(NamedTuple):
  """A mixture of logistics over the 256 levels of 8 bits.

  As in Salimans et al. 2017, but each value is independent. The first and the
  last level take all the mass beyond them, so probabilities sum to 1.
  """

  mixture: int = 1

  means: bool = False

  @property
  def width(self) -> int:
    """Return the numbers for each value: mean, log-scale and logit."""
    return 3 * self.mixture if self.mixture > 1 else 2

  def nats(self, x: Array, output: Array, logvar=None) -> Array:
    """Return −log P(level of x), summed."""
    return -jnp.sum(log_mass(x, self._parts(output)), axis=-1)

  def mean(self, output: Array) -> Array:
    """Return the mean of the mixture, clipped to [0, 1]."""
    mean, _, log_share = self._parameters(output)
    mean = jnp.sum(jnp.exp(log_share) * jnp.clip(mean, -1.0, 1.0), axis=-1)
    return 0.5 * (mean + 1.0)

  def sample(self, key: Array, output: Array, logvar=None) -> Array:
    """Draw levels, as values in [0, 1]."""
    mean, log_scale, log_share = self._parameters(output)
    which, where = jax.random.split(key)
    share = jnp.broadcast_to(log_share, mean.shape)
    index = jax.random.categorical(which, share)[..., None]
    mean, log_scale = (
      jnp.take_along_axis(a, index, axis=-1)[..., 0] for a in (mean, log_scale)
    )
    x = mean + jnp.exp(log_scale) * jax.random.logistic(where, mean.shape)
    return jnp.round(jnp.clip(0.5 * (x + 1.0), 0.0, 1.0) * LEVELS) / LEVELS

  def _parts(self, output: Array) -> Array:
    return output.reshape(*output.shape[:-1], -1, self.width)

  def _parameters(self, output: Array) -> tuple[Array, Array, Array]:
    """Split outputs into means, log-scales and log-shares [..., D, K]."""
    parts = self._parts(output)
    mean, log_scale, *logits = jnp.split(parts, self.width // self.mixture, -1)
    share = jax.nn.log_softmax(logits[0]) if logits else jnp.zeros(())
    return mean, jnp.clip(log_scale, *LOG_SCALES), share


def _log_normaliser(logits: Array) -> Array:
  """Return log(l / tanh(l / 2)), log 2 at 0."""
  small = jnp.abs(logits) < 0.1
  safe = jnp.where(small, 1.0, logits)
  series = math.log(2) + logits**2 / 12 - 7 * logits**4 / 1440
  return jnp.where(small, series, jnp.log(safe / jnp.tanh(0.5 * safe)))
