"""Objectives of a VAE beyond the ELBO, from arrays."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def importance_bound(log_weights: Array) -> Array:
  """Return log (1/k) Σ w [B] of log-weights [k, B] (Burda et al. 2016)."""
  count = log_weights.shape[0]
  return jax.nn.logsumexp(log_weights, axis=0) - math.log(count)


def doubly_reparameterised_bound(
  log_weights: Callable[[Array], Array], z: Array, beta: Array | float = 1.0
) -> Array:
  """Return the same bound with the gradient of Tucker et al. 2019, [B].

  A sample's share is s = w / Σ w. The gradient of p is weighted by s, and the
  gradient through q by s². Where log w has β log q, the score of q that
  becomes a gradient by z has the factor β, too, and leaves s (1 − β + β s).

  Args:
    log_weights: (z [k, B, Z]) → [k, B]. In its density of q the parameters of
      q must be constants (lax.stop_gradient), so that q learns through z.
    z: reparameterised samples of q [k, B, Z].
    beta: the weight of log q in log w.
  """
  values = log_weights(jax.lax.stop_gradient(z))
  share = jax.lax.stop_gradient(jax.nn.softmax(values, axis=0))
  through_q = (1.0 - beta) + beta * share
  logs = log_weights(scale_gradient(z, through_q[..., None]))
  path = jnp.sum(share * logs, axis=0)
  value = importance_bound(jax.lax.stop_gradient(logs))
  return value + path - jax.lax.stop_gradient(path)


def scale_gradient(x: Array, by: Array | float) -> Array:
  """Return x with its gradient multiplied by `by`."""
  fixed = jax.lax.stop_gradient(x)
  return fixed + by * (x - fixed)
