"""VAE on flat images; with a condition it is the supervised CVAE.

Kingma and Welling 2014, and M2 of Kingma et al. 2014 where every label is
known. Which condition, or none, is a choice of the data. The loss of one
example, with sums over pixels and latents, is

    −log p(x | z, c) + β · KL(q(z | x, c) ‖ p(z)) + l2 · Σ kernel²

with Bernoulli pixels, β = 1 and p(z) = N(0, I), unless config.loss and
config.prior say otherwise. The last term is a prior N(0, 1 / (2 l2)) on the
kernels. With `objective` iwae or dreg, −log (1/k) Σ p(x | z) p(z) / q(z | x)
over k samples takes the place of the first two terms (Burda et al. 2016).
Other objectives add a term of the batch's latents to −ELBO. The term of
`factor` comes from a second player, a discriminator, which tells latents from
shuffled ones (Kim and Mnih 2018). Both players move at once, by one encoding.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  optim,
  parts,
  regularisers,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.models import hierarchy, pair
from cvae_jax.systems.models.vae import (
  BRANCHES,
  DISCRIMINATOR,
  Model,
  build,
  init_variables,
  note,
)
from cvae_jax.systems.models.vae_bound import bound_loss
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe.

  Raises:
    ValueError: a choice of config.loss is not supported.
  """
  model = build(config, facts)
  likelihood = model.loss.likelihood
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(likelihood) + model.prior.branches,
    )
  }
  if model.discriminator is not None:
    players["discriminator"] = Player(
      loss=functools.partial(_discriminator_loss, model),
      tx=optim.build(config.optim),
      owns=(DISCRIMINATOR,),
    )
    step = update.make_step(players, simultaneous=True, same_draws=True)
  else:
    step = update.make_step(players)
  conditions = facts.condition_size

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return model.encode(state.params, flat(image), condition)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.image(state.params, z, condition)

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    return model.output(state.params, z, condition)

  def posterior(state: TrainState, noise, image, condition):
    return model.posterior(state.params, noise, flat(image), condition)[:2]

  draw, log_prior = latent_priors.make_functions(model.prior, model.pseudo)
  sampled = model.prior.sampled
  return System(
    init=lambda key: update.init_state(
      players, *init_variables(model, conditions, key)
    ),
    step=step,
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=parts.make_render(encode, decode, draw=draw),
    encode=encode,
    decode=decode,
    **likelihoods.make_functions(likelihood, output),
    observe=binary if model.loss.binarise else None,
    draw=draw if sampled else None,
    log_prior=log_prior if sampled else None,
    posterior=posterior if model.levels else None,
    latents=model.latents,
    schedules=optim.rates(config.optim) | kl_control.schedule(model.loss.kl),
    notes=(note(model), *hierarchy.note(model.levels)),
  )


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
  z_key, pixels_key = jax.random.split(key)
  drop = drop or (None, None)
  likelihood = model.loss.likelihood
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.loss.binarise:
    x = binary(pixels_key, x)
  q, z, output = pair.infer(model, params, x, condition, z_key, drop)
  logvar, model_state = likelihoods.fit(
    likelihood, params, model_state, x, output, step
  )

  # 1. RECONSTRUCTION: −log p(x | z, c), summed over pixels; of Bernoulli
  # pixels the binary cross-entropy.
  reconstruction = likelihood.nats(x, output, logvar)

  # 2. LATENTS: KL(q(z | x, c) ‖ p(z)), in closed form if p(z) is a Gaussian,
  # summed over latents.
  each = model.prior.kl(params, q, z, model.pseudo(params))
  kl = each.sum(axis=-1)

  elbo = -reconstruction - kl
  terms = {"reconstruction": reconstruction, "kl": kl, "elbo": elbo}
  terms |= hierarchy.terms(model.levels, each)
  terms |= likelihoods.bits(likelihood, elbo, model.shape)
  return _Terms(x, output, q, z, each, terms, model_state)


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  """Return the loss [] and (its terms, the model_state after)."""
  noise, *drop = (jax.random.fold_in(key, i) for i in range(3))
  if model.loss.bound:
    return bound_loss(model, params, model_state, batch, noise, drop, step)
  found = _forward(model, params, model_state, batch, noise, drop, step)
  terms = parts.means(found.terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.penalise_kernels(params)

  penalty = model.loss.kl.penalty(found.kl, step, model.counts)
  total = terms["reconstruction"] + penalty + terms["l2"]

  # 4. REGULARISER: strength · R(z), by the objective's name; the equations
  # are in method/regularisers.py.
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


def _discriminator_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  """Return FactorVAE's discriminator's loss (Kim and Mnih 2018, Alg. 2).

  It tells latents of the first half of a batch from those of the second half,
  each of which is shuffled over the images. Their keys are those of `_loss`.
  """
  noise, *drop, shuffle = (jax.random.fold_in(key, i) for i in range(4))
  found = _forward(model, params, model_state, batch, noise, drop)
  first, second = jnp.array_split(found.z, 2)
  z = jnp.concatenate([first, regularisers.permute(shuffle, second)])
  joint, apart = jnp.split(model.discriminate(params, z), [len(first)])
  # DISCRIMINATOR: −½ log d(z) − ½ log (1 − d(z̄)) for shuffled latents z̄.
  total = 0.5 * losses.discriminator_loss(joint, real=True).mean()
  total += 0.5 * losses.discriminator_loss(apart, real=False).mean()
  accuracy = jnp.concatenate([joint > 0, apart < 0]).mean()
  return total, ({"accuracy": accuracy}, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return the loss and its terms of each example, [B]."""
  found = _forward(model, state.params, state.model_state, batch, key)
  terms = found.terms
  penalty = model.loss.kl.per_example(found.kl, state.step, model.counts)
  loss = terms["reconstruction"] + penalty
  psnr = losses.psnr(found.x, model.loss.likelihood.mean(found.output))
  return {"loss": loss, **terms, "psnr": psnr}
