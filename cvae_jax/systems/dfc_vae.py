"""Deep feature consistent VAE (Hou et al. 2016).

The loss of one example is

    α · KL(q(z | x) ‖ N(0, I)) + w · Σ_tap mean (f(x) − f(x̂))²
      + pixel · Σ (x − x̂)²

where f are ReLU outputs ("taps") of a frozen VGG. It is the branch `features`,
which no player owns. Without taps this is a plain VAE: then the loss is −ELBO
up to a constant under p(x | z) = N(x̂, 1/(2 pixel)), and the ELBO in nats is
logged.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  likelihoods,
  losses,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.dfc import Decoder, Encoder
from cvae_jax.nets.features import Features
from cvae_jax.systems.models.dfc_vae import (
  BRANCHES,
  Model,
  init_variables,
  read_likelihood,
)
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  System,
  TrainState,
)


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe."""
  likelihood = read_likelihood(config.loss, facts.image_shape[-1])
  decoder = dict(config.model.decoder)
  if likelihood is not None:
    decoder = likelihoods.decoder(likelihood, config.model.decoder)
    if not likelihood.means:
      decoder["last"] = "linear"
  model = Model(
    nets={
      "encoder": Encoder(**config.model.encoder),
      "decoder": Decoder(**decoder),
    },
    features=Features(**config.model.features),
    latents=config.model.encoder.latents,
    shape=facts.image_shape,
    normalise=config.model.normalise,
    kl=config.loss.kl,
    weight=config.loss.weight,
    likelihood=likelihood,
  )
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + (likelihoods.branches(likelihood) if likelihood else ()),
    )
  }

  def output(state: TrainState, z: Array, _: Array) -> Array:
    return model.decode(state.params, state.model_state, z)[0]

  return System(
    init=lambda key: update.init_state(players, *init_variables(model, key)),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape},
    render=functools.partial(_render, model),
    encode=lambda state, image, _: _encode(model, state, image),
    decode=lambda state, z, _: _decode(model, state, z),
    **likelihoods.make_functions(likelihood, output),
    latents=model.latents,
    schedules=optim.rates(config.optim),
    notes=_notes(model),
  )


def _encode(model: Model, state: TrainState, image: Array) -> Gaussian:
  return model.encode(state.params, state.model_state, image)[0]


def _decode(model: Model, state: TrainState, z: Array) -> Array:
  return model.image(model.decode(state.params, state.model_state, z)[0])


def _forward(model: Model, params, stats, batch: Batch, key, step=None):
  """Return target, mean output, the terms of the loss [B] and the statistics.

  With a step it is a pass of training.
  """
  train = model.normalise and step is not None
  image = parts.unit(batch["image"])
  q, stats = model.encode(params, stats, image, train)
  z = gaussian.reparameterise(key, q)
  given, stats = model.decode(params, stats, z, train)
  output = model.image(given)

  # 1. LATENTS: α · KL(q(z | x) ‖ N(0, I)), summed over latents.
  kl = gaussian.kl_to_prior(q).sum(axis=-1)
  terms = {"weighted_kl": model.kl * kl}

  # 2. FEATURES: w · mean (f(x) − f(x̂))² of each tap (Hou et al. 2016, eq. 3).
  for tap, distance in model.distances(params, image, output).items():
    terms[tap] = model.weight * distance

  # 3. PIXELS: pixel · Σ (x − x̂)², in the plain VAE; of another likelihood
  # −log p(x | z).
  elbo = None
  if model.likelihood is not None:
    term, nats, stats = _pixels(model, params, stats, image, given, step)
    terms |= term
    elbo = -nats - kl

  terms["loss"] = sum(terms.values())
  terms["kl"] = kl
  if elbo is not None:
    terms["elbo"] = elbo
    terms |= likelihoods.bits(model.likelihood, elbo, model.shape)
  return image, output, terms, stats


def _pixels(model: Model, params, stats, image: Array, output: Array, step):
  """Return the pixels' term of the loss, −log p(x | z) [B], the statistics."""
  likelihood = model.likelihood
  nats, stats = likelihoods.measure_nats(
    likelihood, params, stats, image, output, step
  )
  if not isinstance(likelihood, likelihoods.Gaussian):
    return {"reconstruction": nats}, nats, stats
  squared_error = losses.squared_error(image, output)
  weighted = likelihood.weight * squared_error
  return {"weighted_squared_error": weighted}, nats, stats


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  _, _, terms, stats = _forward(model, params, model_state, batch, key, step)
  terms = parts.means(terms)
  return terms.pop("loss"), (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  image, output, terms, _ = _forward(
    model, state.params, state.model_state, batch, key
  )
  return {**terms, "psnr": losses.psnr(image, output)}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pair targets with reconstructions; draw a panel of samples."""
  image, output, *_ = _forward(
    model, state.params, state.model_state, batch, key
  )
  z = jax.random.normal(key, (64, model.latents))
  drawn = _decode(model, state, z)
  return {
    "reconstruction": jnp.stack([image, output]),
    "samples": drawn.reshape(8, 8, *model.shape),
  }


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the loss sums and weighs."""
  terms = [f"{model.kl:g} × KL summed over {model.latents} latents"]
  if taps := model.features.taps:
    terms.append(
      f"{model.weight:g} × mean squared difference of {model.features.network}"
      f" features at {', '.join(taps)} ({model.features.preprocessing})"
    )
  if isinstance(model.likelihood, likelihoods.Gaussian):
    weight = model.likelihood.weight
    terms.append(f"{weight:g} × squared error summed over the image")
  elif model.likelihood is not None:
    terms.append(f"nats of {type(model.likelihood).__name__} values")
  return ("loss: " + " + ".join(terms),)
