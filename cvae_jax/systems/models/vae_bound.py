"""The loss of a VAE by a bound of several samples: IWAE and DReG."""

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  likelihoods,
  losses,
  objectives,
  parts,
)
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.models.vae import Model
from cvae_jax.types import Batch


def bound_loss(
  model: Model, params, model_state, batch: Batch, key, drop, step
):
  """Return −log (1/k) Σ w of k samples; log w = −nats + β (log p − log q)."""
  noise, pixels = jax.random.split(key)
  count = model.loss.samples
  likelihood = model.loss.likelihood
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.loss.binarise:
    x = binary(pixels, x)
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

  # Sigma's variance is that of the first sample of each image.
  first = output(z)[0]
  scale, model_state = likelihoods.fit(
    likelihood, params, model_state, x, first, step
  )
  weight = model.loss.kl.weight(step)

  # 1. BOUND: −log (1/k) Σ w, log w = log p(x | z, c) + β (log p(z) − log q).
  def log_weights(z: Array) -> Array:
    kl = gaussian.log_density(z, fixed)
    kl -= model.prior.log_density(params, z, model.pseudo(params))
    return -likelihood.nats(x[None], output(z), scale) - weight * kl

  if doubly:
    bound = objectives.doubly_reparameterised_bound(log_weights, z)
  else:
    bound = objectives.importance_bound(log_weights(z))
  kl = model.prior.kl(params, q, z[0], model.pseudo(params)).sum(axis=-1)
  nats = likelihood.nats(x, first, scale)
  terms = {"reconstruction": nats, "kl": kl, "elbo": -nats - kl, "bound": bound}
  terms |= likelihoods.bits(likelihood, terms["elbo"], model.shape)
  terms = parts.means(terms)

  # 2. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.loss.l2 * losses.dense_l2(params)
  return terms["l2"] - terms["bound"], (terms, model_state)
