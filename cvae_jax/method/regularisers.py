"""What an objective adds to −ELBO, from a batch of latents.

Each term is a function of the whole batch. No term is part of the ELBO, which
is logged without it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian
from cvae_jax.method.gaussian import Gaussian

NAMES = ("tc", "mmd", "dip_i", "dip_ii")
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of mmd's kernels


class Regulariser(NamedTuple):
  """A term of the loss by its name, and its weight."""

  name: str  # of NAMES
  strength: float
  diagonal: float = 1.0  # dip: the diagonal's weight beside the others'
  rows: int | None = None  # of the training data, for tc

  def terms(self, z: Array, q: Gaussian, draw: Callable[[], Array]) -> dict:
    """Return {name: the term [], unweighted}.

    Args:
      z: a sample of the posteriors [B, Z].
      q: the posteriors.
      draw: () → z [B, Z] of the prior.
    """
    if self.name == "tc":
      return {"tc": total_correlation(z, q, self.rows or len(z))}
    if self.name == "mmd":
      return {"mmd": mean_discrepancy(z, draw())}
    spread = covariance(q, self.name == "dip_ii")
    return {"dip": identity_penalty(spread, self.diagonal)}


def total_correlation(z: Array, q: Gaussian, rows: int) -> Array:
  """Return KL(q(z) ‖ Π_j q(z_j)) [] of the aggregate posterior q(z).

  By minibatch-weighted sampling (Chen et al. 2018): q(z) is estimated as
  1 / (N B) Σ_b q(z | x_b), with N the rows of the training data.

  Args:
    z: samples [B, Z].
    q: the posteriors that z was drawn from.
    rows: N.
  """
  wide = jax.tree.map(lambda a: a[None], q)
  logs = -gaussian.nats(z[:, None], wide)  # [B of z, B of x, Z]
  constant = math.log(rows) + math.log(len(z))
  joint = jax.nn.logsumexp(logs.sum(axis=-1), axis=1) - constant
  each = jax.nn.logsumexp(logs, axis=1) - constant
  return jnp.mean(joint - each.sum(axis=-1))


def mean_discrepancy(a: Array, b: Array) -> Array:
  """Return the squared maximum mean discrepancy [] of two samples [B, Z].

  The estimate is unbiased, so it may be below 0. The kernel is the mean of
  exp(−‖a − b‖² / (2 s Z)) over the scales s; two draws of N(0, I) are 2 Z
  apart (Zhao et al. 2019; Gretton et al. 2012).
  """
  count = len(a)
  off = 1.0 - jnp.eye(count)
  within = jnp.sum(off * (_kernel(a, a) + _kernel(b, b)))
  return within / (count * (count - 1)) - 2.0 * jnp.mean(_kernel(a, b))


def _kernel(a: Array, b: Array) -> Array:
  apart = jnp.sum((a[:, None] - b[None]) ** 2, axis=-1) / (2 * a.shape[-1])
  return sum(jnp.exp(-apart / scale) for scale in SCALES) / len(SCALES)


def covariance(q: Gaussian, whole: bool) -> Array:
  """Return the covariance [Z, Z] of the posterior means over a batch.

  With `whole` it is the covariance of the aggregate posterior: the mean
  variances are added (Kumar et al. 2018: DIP-VAE-II; without, DIP-VAE-I).
  """
  centred = q.mean - q.mean.mean(axis=0, keepdims=True)
  found = centred.T @ centred / len(centred)
  if whole:
    found = found + jnp.diag(jnp.exp(q.logvar).mean(axis=0))
  return found


def identity_penalty(found: Array, diagonal: float) -> Array:
  """Return Σ_{i≠j} C_ij² + diagonal · Σ_i (C_ii − 1)² of C [Z, Z]."""
  entries = jnp.diag(found)
  others = jnp.sum(found**2) - jnp.sum(entries**2)
  return others + diagonal * jnp.sum((entries - 1.0) ** 2)


def permute(key: Array, z: Array) -> Array:
  """Shuffle each latent over the batch: a sample of Π_j q(z_j), [B, Z]."""
  keys = jax.random.split(key, z.shape[-1])
  columns = jax.vmap(jax.random.permutation)(keys, z.T)
  return columns.T


def read(loss, name: str, rows: int | None) -> Regulariser | None:
  """Read a config's group `loss`; None if the objective has no such term.

  Args:
    loss: the group. `strength` weighs the term, `diagonal` is of dip.
    name: the objective's.
    rows: of the training data, where they are known.
  """
  if name not in NAMES:
    return None
  return Regulariser(
    name, loss.get("strength", 1.0), loss.get("diagonal", 1.0), rows
  )
