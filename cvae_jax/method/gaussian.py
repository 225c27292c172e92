"""Diagonal Gaussians: the reparameterisation and the divergences of a VAE."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Gaussian(NamedTuple):
  """A diagonal Gaussian over [B, Z]."""

  mean: Array  # [B, Z]
  logvar: Array  # [B, Z]


def reparameterise(
  key: Array, q: Gaussian, shared: Sequence[int] = ()
) -> Array:
  """Draw z [B, Z] = mean + std · ε (Kingma and Welling 2014, §2.4).

  All entries along the axes `shared` use the same ε.
  """
  axes = {axis % q.mean.ndim for axis in shared}
  shape = tuple(1 if i in axes else n for i, n in enumerate(q.mean.shape))
  noise = jax.random.normal(key, shape, q.mean.dtype)
  return q.mean + jnp.exp(0.5 * q.logvar) * noise


def draw(key: Array, count: int, latents: int) -> Array:
  """Draw z [count, latents] from the prior, N(0, I)."""
  return jax.random.normal(key, (count, latents))


def kl_to_prior(q: Gaussian) -> Array:
  """Compute KL(q ‖ N(0, I)) of each latent, [B, Z] in nats, each ≥ 0.

  expm1 keeps the digits that exp(v) − 1 loses near the prior, where v is small.
  """
  return 0.5 * (q.mean**2 + (jnp.expm1(q.logvar) - q.logvar))


def nats(z: Array, q: Gaussian) -> Array:
  """Return −log q(z) of each entry of z [..., Z]; z and q broadcast."""
  terms = math.log(2 * math.pi) + q.logvar
  return 0.5 * (terms + (z - q.mean) ** 2 * jnp.exp(-q.logvar))


def log_density(z: Array, q: Gaussian) -> Array:
  """Return log q(z) [B] in nats for z [B, Z]."""
  return -jnp.sum(nats(z, q), axis=-1)


def standard(z: Array) -> Gaussian:
  """Return N(0, I) in the shape of z."""
  return Gaussian(jnp.zeros_like(z), jnp.zeros_like(z))


def point(z: Array) -> Gaussian:
  """Return the Gaussian of variance 0 at z [B, Z]: a deterministic code."""
  return Gaussian(z, jnp.full_like(z, -jnp.inf))
