"""Bounds on the log-likelihood, in nats."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian
from cvae_jax.method.parts import unit
from cvae_jax.types import Batch, Metrics, PyTree, System, TrainState


def make_bound(system: System, samples: int, at_once: int = 0):
  """Build (state, batch, key) -> {"iw_bound": [B]}.

  The bound is log (1/k) Σ p(x | z) p(z) / q(z | x) over k = samples draws
  (Burda et al. 2016), between the ELBO (k = 1) and log p(x | condition).

  Args:
    system: encodes, decodes and has `nats`.
    samples: k.
    at_once: how many of them are computed together, at most; 0 for all.
  """
  parts = _parts(samples, at_once)

  def bound(state: TrainState, batch: Batch, key: Array) -> Metrics:
    image = unit(batch["image"])
    pixels, noise = jax.random.split(key)
    # A system that reads no condition gets none.
    condition = batch.get("condition", jnp.zeros((len(image), 0)))
    if system.observe:  # once, since all k samples bound the same x
      image = system.observe(pixels, image)
    # One wide batch [k · B]: within a loop, CPUs would not use their threads.
    times = samples // parts
    draw = _draws(system, state, image, condition, times)
    image, condition = _tile((image, condition), times)

    def log_sum(key: Array) -> Array:
      q, z = draw(key)
      output = (system.outputs or system.decode)(state, z, condition)
      if system.log_prior:
        prior = system.log_prior(state, z)
      else:
        prior = gaussian.log_density(z, gaussian.standard(z))
      weights = (
        -system.nats(image, output) + prior - gaussian.log_density(z, q)
      ).reshape(times, -1)
      return jax.nn.logsumexp(weights, axis=0)

    if parts == 1:
      total = log_sum(noise)
    else:
      keys = jax.random.split(noise, parts)
      total = jax.nn.logsumexp(jax.lax.map(log_sum, keys), axis=0)
    return {"iw_bound": total - jnp.log(samples)}

  return bound


def _draws(system: System, state, image, condition, times: int) -> Callable:
  """Return key → (q, z), both over [times · B, Z]: draws of each image."""
  if system.posterior is None:
    q = _tile(system.encode(state, image, condition), times)
    return lambda key: (q, gaussian.reparameterise(key, q))

  def draw(key: Array) -> tuple[gaussian.Gaussian, Array]:
    noise = gaussian.draw(key, times * len(image), system.latents)
    return system.posterior(state, noise, image, condition)

  return draw


def _tile(tree: PyTree, times: int) -> PyTree:
  """Repeat all rows of arrays, one repetition after another."""
  return jax.tree.map(lambda x: jnp.tile(x, (times, *[1] * (x.ndim - 1))), tree)


def _parts(samples: int, at_once: int) -> int:
  """Return the least number of equal parts of at most `at_once` samples."""
  least = -(-samples // at_once) if at_once else 1
  return next(n for n in range(least, samples + 1) if samples % n == 0)
