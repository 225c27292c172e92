"""Adversarial autoencoders, label-aware or not (Makhzani et al. 2015).

Three players move in turn:

    autoencoder    w · Σ (x − x̂)²
    discriminator  D: tells draws of the prior from codes
    generator      the encoder under an optimiser of its own: fools D

With `slots` the discriminator also sees where a point should lie (§2.3 of the
paper): a draw comes with the one-hot region that it lies in, a code with its
class. One slot more than there are regions is for unlabelled digits and for
draws from the whole prior.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.priors import PRIORS, Draw
from cvae_jax.nets.mlp import flat
from cvae_jax.systems.models.aae import Model, build, init_params
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  System,
  TrainState,
)


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: the prior, the slots and the latents do not fit together.
  """
  shape = facts.image_shape
  model = build(config, facts)
  players = _players(model, config)
  columns = {"image": shape, "condition": (facts.condition_size,)}
  if model.slots:
    columns |= {"labelled_image": shape, "label": ()}

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    code = model.encode(state.params, image)
    return gaussian.point(code)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.decode(state.params, z).reshape(-1, *shape)

  def regions(key: Array, count: int) -> Draw:
    return PRIORS[model.prior](key, count, model.latents)

  def prior(key: Array, count: int) -> Array:
    return regions(key, count).z

  return System(
    init=lambda key: update.init_state(
      players, init_params(model, math.prod(shape), key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns=columns,
    render=parts.make_render(encode, decode, prior),
    encode=encode,
    decode=decode,
    schedules=optim.rates(config.optim),
    latents=model.latents,
    prior=prior,
    regions=regions if model.slots else None,
    notes=(
      f"loss: {model.weight:g} × squared error summed over "
      f"{math.prod(shape)} values; codes shaped to the prior {model.prior!r}"
      + (f" by {model.slots} slots" if model.slots else ""),
    ),
  )


def _players(model: Model, config) -> dict[str, Player]:
  """Return the players in order; the generator may move more than once.

  Each of the generator's moves has Adam moments of its own.
  """
  updates = config.optim.generator_updates  # 1 or more, by settings.check

  def player(loss, rate: float, *owns: str) -> Player:
    tx = optim.build(config.optim, rate)
    return Player(functools.partial(loss, model), tx, owns)

  lr = config.optim.lr
  adversarial_lr = config.optim.adversarial_lr
  players = {
    "autoencoder": player(_reconstruction_loss, lr, "encoder", "decoder"),
    "discriminator": player(
      _discriminator_loss, adversarial_lr, "discriminator"
    ),
  }
  for i in range(updates):
    name = f"generator_{i + 1}" if i else "generator"
    players[name] = player(_generator_loss, adversarial_lr, "encoder")
  return players


def _squared_error(model: Model, image: Array, output: Array) -> Array:
  """Return the weighted squared error of each image and its x̂, [B]."""
  return model.weight * losses.squared_error(flat(image), output)


def _reconstruction_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  # RECONSTRUCTION: w · Σ (x − x̂)², summed over pixels.
  image = batch["image"]
  output = model.decode(params, model.encode(params, image, key))
  return _squared_error(model, image, output).mean(), ({}, model_state)


def _discriminator_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  noise, draw = jax.random.split(key)
  z, slot = model.codes(params, batch, noise)
  on_codes = model.discriminate(params, z, slot)
  drawn = model.draws(draw, len(batch["image"]))
  on_draws = model.discriminate(params, *drawn)

  # 1. CODES: −log (1 − D(z)) for z of the encoder.
  codes = losses.discriminator_loss(on_codes, real=False).mean()

  # 2. DRAWS: −log D(z) for z of the prior.
  draws = losses.discriminator_loss(on_draws, real=True).mean()

  accuracy = jnp.concatenate([on_codes < 0, on_draws > 0]).mean()
  terms = {"codes": codes, "draws": draws, "accuracy": accuracy}
  return codes + draws, (terms, model_state)


def _generator_loss(model: Model, params, model_state, batch: Batch, key, step):
  # DECEPTION: −log D(z) for z of the encoder, the form of Goodfellow et al.
  # (2014) that does not saturate.
  logit = model.discriminate(params, *model.codes(params, batch, key))
  loss = losses.discriminator_loss(logit, real=True).mean()
  return loss, ({}, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return the weighted squared error and the PSNR of each image, [B]."""
  x = batch["image"]
  output = model.decode(state.params, model.encode(state.params, x))
  return {
    "weighted_squared_error": _squared_error(model, x, output),
    "psnr": losses.psnr(flat(x), output),
  }
