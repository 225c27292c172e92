"""What a VAE's training and evaluation compute: the terms of its losses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  likelihoods,
  losses,
  objectives,
  parts,
  regularisers,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.vae.model import Model
from cvae_jax.types import Batch, Metrics, PyTree, TrainState


class _Terms(NamedTuple):
  """What a forward pass finds."""

  x: Array  # [B, D], the target
  output: Array  # [B, D · width]
  q: Gaussian  # over [B, Z]
  z: Array  # [B, Z]
  kl: Array  # [B, Z]
  terms: Metrics  # each [B]
  model_state: PyTree


def _forward(
  model: Model, params, model_state, batch: Batch, key, drop=None, step=None
) -> _Terms:
  """Return what the ELBO is made of; with a step, in training."""
  noise, pixels = jax.random.split(key)
  drop = drop or (None, None)
  likelihood = model.loss.likelihood
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.loss.binarise:
    x = binary(pixels, x)
  q = model.encode(params, x, condition, drop[0])
  z = gaussian.reparameterise(noise, q)
  output = model.output(params, z, condition, drop[1])
  if step is None:
    scale = likelihoods.scale(likelihood, params, model_state)
  else:
    scale, model_state = likelihoods.fit(
      likelihood, params, model_state, x, output, step
    )

  # 1. RECONSTRUCTION: −log p(x | z, c), summed over pixels; of Bernoulli
  # pixels the binary cross-entropy.
  reconstruction = likelihood.nats(x, output, scale)

  # 2. LATENTS: KL(q(z | x, c) ‖ p(z)), in closed form if p(z) is a Gaussian,
  # summed over latents.
  each = model.prior.kl(params, q, z, model.pseudo(params))
  kl = each.sum(axis=-1)

  elbo = -reconstruction - kl
  terms = {"reconstruction": reconstruction, "kl": kl, "elbo": elbo}
  terms |= likelihoods.bits(likelihood, elbo, model.shape)
  return _Terms(x, output, q, z, each, terms, model_state)


def loss(model: Model, params, model_state, batch: Batch, key, step):
  """Return the loss [] and (its terms, the model_state after)."""
  noise, *drop = (jax.random.fold_in(key, i) for i in range(3))
  if model.loss.bound:
    return _bound_loss(model, params, model_state, batch, noise, drop, step)
  found = _forward(model, params, model_state, batch, noise, drop, step)
  terms = parts.means(found.terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.loss.l2 * losses.dense_l2(params)

  kl = model.loss.kl
  if kl.plain:
    total = terms["l2"] - terms["elbo"]
  else:
    penalty = kl.penalty(found.kl, step, model.latents)
    total = terms["reconstruction"] + penalty + terms["l2"]

  # 4. REGULARISER: of the batch's latents, by the objective's name.
  regulariser = _regulariser(model, params, found.z, found.q, noise)
  if regulariser:
    terms |= regulariser
    total += model.loss.strength * sum(regulariser.values())
  return total, (terms, found.model_state)


def _regulariser(model: Model, params, z: Array, q: Gaussian, key) -> Metrics:
  """Return {name: the term []} of an objective that has one."""
  if model.discriminator is not None:  # log d / (1 − d) estimates log q / Π q
    return {"tc": model.discriminate(params, z).mean()}
  if model.loss.regulariser is None:
    return {}

  def draw() -> Array:
    encode = model.pseudo(params)
    return model.prior.draw(params, jax.random.fold_in(key, 2), len(z), encode)

  return model.loss.regulariser.terms(z, q, draw)


def discriminator_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  """Return FactorVAE's discriminator's loss (Kim and Mnih 2018, Alg. 2).

  It tells latents of the first half of a batch from those of the second half,
  each of which is shuffled over the images.
  """
  noise, shuffle, *drop = (jax.random.fold_in(key, i) for i in range(4))
  found = _forward(model, params, model_state, batch, noise, drop)
  first, second = jnp.array_split(found.z, 2)
  joint = model.discriminate(params, first)
  apart = model.discriminate(params, regularisers.permuted(shuffle, second))
  total = 0.5 * losses.discriminator_loss(joint, real=True).mean()
  total += 0.5 * losses.discriminator_loss(apart, real=False).mean()
  accuracy = jnp.concatenate([joint > 0, apart < 0]).mean()
  return total, ({"accuracy": accuracy}, model_state)


def _bound_loss(
  model: Model, params, model_state, batch: Batch, key, drop, step
):
  """Return −log (1/k) Σ w of k samples; log w = −nats + β (log p − log q)."""
  noise, pixels = jax.random.split(key)
  count, likelihood = model.loss.samples, model.loss.likelihood
  x, condition = flat(batch["image"]), batch["condition"]
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

  def log_weights(z: Array) -> Array:
    kl = gaussian.log_density(z, fixed)
    kl -= model.prior.log_density(params, z, model.pseudo(params))
    return -likelihood.nats(x[None], output(z), scale) - weight * kl

  if doubly:
    bound = objectives.doubly_reparameterised(log_weights, z)
  else:
    bound = objectives.importance_bound(log_weights(z))
  kl = model.prior.kl(params, q, z[0], model.pseudo(params)).sum(axis=-1)
  nats = likelihood.nats(x, first, scale)
  terms = {"reconstruction": nats, "kl": kl, "elbo": -nats - kl, "bound": bound}
  terms |= likelihoods.bits(likelihood, terms["elbo"], model.shape)
  terms = parts.means(terms)
  terms["l2"] = model.loss.l2 * losses.dense_l2(params)
  return terms["l2"] - terms["bound"], (terms, model_state)


def evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return the loss and its terms of each example, [B]."""
  found = _forward(model, state.params, state.model_state, batch, key)
  terms, kl = found.terms, model.loss.kl
  loss = -terms["elbo"]
  if not kl.plain:
    penalty = kl.of_each(found.kl, state.step, model.latents)
    loss = terms["reconstruction"] + penalty
  psnr = losses.psnr(found.x, model.loss.likelihood.mean(found.output))
  return {"loss": loss, **terms, "psnr": psnr}
