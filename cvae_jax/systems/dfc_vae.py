"""Deep feature consistent VAE (Hou et al. 2016; spec zoo §5).

Loss: kl · KL + Σ over taps of features · mean (f(x) − f(x̂))² + pixel · SSE,
with f the ReLU outputs of a frozen VGG, which is the branch `features` that
no player owns. Without taps it is a plain VAE: then the loss is −ELBO up to a
constant under p(x | z) = N(x̂, 1/(2 pixel)), and the ELBO in nats is logged.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import gaussian, losses, schedules, update
from cvae_jax.gaussian import Gaussian
from cvae_jax.nets import blocks
from cvae_jax.nets.dfc import Decoder, Encoder
from cvae_jax.nets.features import Features
from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState


class Model(NamedTuple):
  """The networks and what weighs the terms of their loss."""

  encoder: Encoder
  decoder: Decoder
  features: Features
  shape: tuple[int, ...]  # (H, W, C)
  normalise: bool  # by the batch in training; else never, as in the source
  kl: float
  weight: float  # of each tap's mean squared difference
  pixel: float  # of the squared error, summed over the image

  def encode(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Gaussian, PyTree]:
    """Gives q(z | image) and the statistics after it."""
    q, after = blocks.apply(
      self.encoder, params["encoder"], stats["encoder"], image, train=train
    )
    return q, {**stats, "encoder": after}

  def decode(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Gives the images of z [B, Z] and the statistics after it."""
    image, after = blocks.apply(
      self.decoder, params["decoder"], stats["decoder"], z, train=train
    )
    return image, {**stats, "decoder": after}

  def distances(self, params: PyTree, image: Array, output: Array) -> Metrics:
    """Gives each tap's mean squared difference, {tap: [B]}."""
    if not self.features.taps:
      return {}
    variables = {"params": params["features"]}
    target = self.features.apply(variables, image)
    found = self.features.apply(variables, output)
    return {
      tap: losses.squared_error(target[tap], found[tap])
      / math.prod(target[tap].shape[1:])
      for tap in self.features.taps
    }

  def nats(self, image: Array, output: Array) -> Array:
    """Gives −log p(image | z) [B] of the plain VAE."""
    sse = losses.squared_error(image, output)
    return losses.gaussian_nats(sse, math.prod(self.shape), self.pixel)


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes."""
  model = Model(
    encoder=Encoder(**config.model.encoder),
    decoder=Decoder(**config.model.decoder),
    features=Features(**config.model.features),
    shape=tuple(config.data.image_shape),
    normalise=config.model.normalise,
    **config.loss,
  )
  lr = schedules.learning_rate(config.optim)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optax.adam(lr, b1=config.optim.b1, eps=config.optim.eps),
      owns=("encoder", "decoder"),
    )
  }
  return System(
    init=lambda key: update.init_state(players, *_start(model, key)),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape},
    render=functools.partial(_render, model),
    encode=lambda state, image, _: _encode(model, state, image),
    decode=lambda state, z, _: _decode(model, state, z),
    nats=model.nats if model.pixel else None,
    latents=model.encoder.latents,
    schedules={"learning_rate": lr},
    notes=_notes(model),
  )


def _start(model: Model, key: Array) -> tuple[PyTree, PyTree]:
  """Draws the parameters, also of features that no file replaces."""
  image = jnp.zeros((1, *model.shape))
  z = jnp.zeros((1, model.encoder.latents))
  keys = [jax.random.fold_in(key, i) for i in range(3)]
  params, stats = {}, {}
  params["encoder"], stats["encoder"] = blocks.init(
    model.encoder, keys[0], image
  )
  params["decoder"], stats["decoder"] = blocks.init(model.decoder, keys[1], z)
  if model.features.taps:
    params["features"], _ = blocks.init(model.features, keys[2], image)
  return params, stats


def _encode(model: Model, state: TrainState, image: Array) -> Gaussian:
  return model.encode(state.params, state.model_state, image)[0]


def _decode(model: Model, state: TrainState, z: Array) -> Array:
  return model.decode(state.params, state.model_state, z)[0]


def _forward(model: Model, params, stats, batch: Batch, key, train=False):
  """Gives target, output, the terms of the loss [B] and the statistics."""
  image = batch["image"].astype(jnp.float32) / 255.0
  q, stats = model.encode(params, stats, image, train)
  z = gaussian.reparameterise(key, q)
  output, stats = model.decode(params, stats, z, train)
  kl = gaussian.kl_to_prior(q).sum(axis=-1)
  terms = {"kl": model.kl * kl}
  for tap, distance in model.distances(params, image, output).items():
    terms[tap] = model.weight * distance
  if model.pixel:
    terms["mse"] = model.pixel * losses.squared_error(image, output)
  terms["loss"] = sum(terms.values())
  if model.pixel:
    terms["elbo"] = -model.nats(image, output) - kl
  return image, output, terms, stats


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  train = model.normalise
  _, _, terms, stats = _forward(model, params, model_state, batch, key, train)
  terms = {name: term.mean() for name, term in terms.items()}
  return terms.pop("loss"), (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  image, output, terms, _ = _forward(
    model, state.params, state.model_state, batch, key
  )
  return {**terms, "psnr": losses.psnr(image, output)}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pairs targets with reconstructions; draws a panel of samples."""
  image, output, *_ = _forward(
    model, state.params, state.model_state, batch, key
  )
  z = jax.random.normal(key, (64, model.encoder.latents))
  drawn = _decode(model, state, z)
  return {
    "reconstruction": jnp.stack([image, output]),
    "samples": drawn.reshape(8, 8, *model.shape),
  }


def _notes(model: Model) -> tuple[str, ...]:
  """Says what the loss sums and weighs."""
  terms = [f"{model.kl:g} × KL summed over {model.encoder.latents} latents"]
  if taps := model.features.taps:
    terms.append(
      f"{model.weight:g} × mean squared difference of {model.features.network}"
      f" features at {', '.join(taps)} ({model.features.preprocessing})"
    )
  if model.pixel:
    terms.append(f"{model.pixel:g} × squared error summed over the image")
  return ("loss: " + " + ".join(terms),)
