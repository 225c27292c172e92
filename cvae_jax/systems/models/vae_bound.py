"""The loss of a VAE by a bound of several samples: IWAE and DReG."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  likelihoods,
  objectives,
  parts,
)
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.models.vae import Model
from cvae_jax.types import Batch


class _Samples(NamedTuple):
  """k samples of each image's posterior."""

  output: Array  # [B, D · width], of the first sample
  kl: Array  # [B], of the posterior of the first sample
  bound: Callable  # (outputs [k, B, D · width] → nats [k, B]) → bound [B]


def bound_loss(
  model: Model, params, model_state, batch: Batch, key, drop, step
):
  """Return −log (1/k) Σ w of k samples; log w = −nats + β (log p − log q)."""
  noise, pixels = jax.random.split(key)
  likelihood = model.loss.likelihood
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.loss.binarise:
    x = binary(pixels, x)
  weight = model.loss.kl.weight(step)
  sample = _sample_levels if model.levels else _sample
  found = sample(model, params, x, condition, noise, drop, weight)

  # Sigma's variance is that of the first sample of each image.
  first = found.output
  logvar, model_state = likelihoods.fit(
    likelihood, params, model_state, x, first, step
  )
  # 1. BOUND: −log (1/k) Σ w, log w = log p(x | z, c) + β (log p(z) − log q).
  bound = found.bound(lambda output: likelihood.nats(x[None], output, logvar))
  nats = likelihood.nats(x, first, logvar)
  kl = found.kl
  terms = {"reconstruction": nats, "kl": kl, "elbo": -nats - kl, "bound": bound}
  terms |= likelihoods.bits(likelihood, terms["elbo"], model.shape)
  terms = parts.means(terms)

  # 2. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.penalise_kernels(params)
  return terms["l2"] - terms["bound"], (terms, model_state)


def _sample(
  model: Model, params, x, condition, noise, drop, weight
) -> _Samples:
  """Decode k samples of one encoding of each image."""
  count = model.loss.samples
  q = model.encode(params, x, condition, drop[0])
  doubly = model.loss.objective == "dreg"
  wide_q = jax.tree.map(lambda a: a[None], q)
  fixed = jax.lax.stop_gradient(wide_q) if doubly else wide_q
  noise = jax.random.normal(noise, (count, *q.mean.shape))
  z = wide_q.mean + jnp.exp(0.5 * wide_q.logvar) * noise
  wide = jnp.tile(condition, (count, 1))

  def output(z: Array) -> Array:
    rows = z.reshape(-1, model.latents)
    found = model.output(params, rows, wide, drop[1])
    return found.reshape(count, len(x), -1)

  def bound(nats: Callable) -> Array:
    def log_weights(z: Array) -> Array:
      kl = gaussian.log_density(z, fixed)
      kl -= model.prior.log_density(params, z, model.pseudo(params))
      return -nats(output(z)) - weight * kl

    if doubly:
      return objectives.doubly_reparameterised_bound(log_weights, z, weight)
    return objectives.importance_bound(log_weights(z))

  kl = model.prior.kl(params, q, z[0], model.pseudo(params)).sum(axis=-1)
  return _Samples(output(z)[0], kl, bound)


def _sample_levels(
  model: Model, params, x, condition, noise, drop, weight
) -> _Samples:
  """Go down k times for each image, as a level's q depends on those above.

  Latents are what the levels' priors leave over, so p(z) is N(0, I).
  """
  count = model.loss.samples
  size = (count, len(x))
  noise = jax.random.normal(noise, (count * len(x), model.latents))
  wide = (jnp.tile(x, (count, 1)), jnp.tile(condition, (count, 1)))
  q, z, output = model.posterior(params, noise, *wide)
  ratio = gaussian.log_density(z, q)
  ratio -= gaussian.log_density(z, gaussian.standard(z))
  output = output.reshape(*size, -1)

  def bound(nats: Callable) -> Array:
    return objectives.importance_bound(
      -nats(output) - weight * ratio.reshape(size)
    )

  kl = gaussian.kl_to_prior(q).sum(axis=-1).reshape(size)
  return _Samples(output[0], kl[0], bound)
