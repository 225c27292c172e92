"""VAE on flat images; with a condition it is the supervised CVAE.

Kingma and Welling 2014, and M2 of Kingma et al. 2014 where every label is
known. Which condition, or none, is a choice of the data. The loss of one
example, with sums over pixels and latents, is

    −log p(x | z, c) + KL(q(z | x, c) ‖ N(0, I)) + l2 · Σ kernel²

with Bernoulli pixels. The last term is a prior N(0, 1 / (2 l2)) on the
kernels.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import MLP, binary, flat
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)

BRANCHES = ("encoder", "decoder")


class Model(NamedTuple):
  """The two networks and what their loss is made of."""

  encoder: MLP
  decoder: MLP
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  binarise: bool  # pixels are drawn anew from their grey values each time
  l2: float

  def encode(self, params: PyTree, x, condition, key=None) -> Gaussian:
    """Return q(z | x [B, D], condition); without a key dropout is off."""
    variables = {"params": params["encoder"]}
    return Gaussian(**self.encoder.apply(variables, x, condition, key))

  def logits(self, params: PyTree, z, condition, key=None) -> Array:
    """Return the logits [B, D] of the pixels; without a key no dropout."""
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, z, condition, key)["logits"]

  def image(self, params: PyTree, z: Array, condition: Array) -> Array:
    """Return the means of the pixels as images [B, H, W, C]."""
    means = jax.nn.sigmoid(self.logits(params, z, condition))
    return means.reshape(-1, *self.shape)


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe."""
  model = _model(config, facts)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES,
    )
  }
  conditions = facts.conditions

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return model.encode(state.params, flat(image), condition)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.image(state.params, z, condition)

  prior = functools.partial(gaussian.draw, latents=model.latents)
  return System(
    init=lambda key: update.init_state(
      players, _parameters(model, conditions, key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=parts.make_render(encode, decode, prior),
    encode=encode,
    decode=decode,
    nats=losses.bernoulli_nats_of_means,
    observe=binary if model.binarise else None,
    latents=model.latents,
    notes=("loss: −ELBO in nats, Bernoulli pixels, + L2 of the kernels",),
  )


def _model(config, facts: Facts) -> Model:
  shape = facts.image_shape
  latents = config.model.latents
  heads = {"mean": latents, "logvar": latents}
  return Model(
    encoder=MLP(**config.model.encoder, heads=heads),
    decoder=MLP(**config.model.decoder, heads={"logits": math.prod(shape)}),
    shape=shape,
    latents=latents,
    binarise=config.loss.binarise,
    l2=config.loss.l2,
  )


def _parameters(model: Model, conditions: int, key: Array) -> PyTree:
  condition = jnp.zeros((1, conditions))
  x = jnp.zeros((1, math.prod(model.shape)))
  z = jnp.zeros((1, model.latents))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  params, _ = parts.init_branches(
    nets, key, encoder=(x, condition), decoder=(z, condition)
  )
  return params


def _forward(
  model: Model, params, batch: Batch, key, drop=(None, None)
) -> tuple[Array, Array, Metrics]:
  """Return the target, the logits and the terms of the loss, each [B]."""
  noise, pixels = jax.random.split(key)
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.binarise:
    x = binary(pixels, x)
  q = model.encode(params, x, condition, drop[0])
  z = gaussian.reparameterise(noise, q)
  logits = model.logits(params, z, condition, drop[1])

  # 1. RECONSTRUCTION: −log p(x | z, c), the binary cross-entropy summed over
  # pixels.
  reconstruction = losses.bernoulli_nats(x, logits)

  # 2. LATENTS: KL(q(z | x, c) ‖ N(0, I)) in closed form, summed over latents.
  kl = gaussian.kl_to_prior(q).sum(axis=-1)

  terms = {
    "reconstruction": reconstruction,
    "kl": kl,
    "elbo": -reconstruction - kl,
  }
  return x, logits, terms


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop = (jax.random.fold_in(key, i) for i in range(3))
  _, _, terms = _forward(model, params, batch, noise, drop)
  terms = parts.means(terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.l2 * losses.dense_l2(params)

  return terms["l2"] - terms["elbo"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  x, logits, terms = _forward(model, state.params, batch, key)
  psnr = losses.psnr(x, jax.nn.sigmoid(logits))
  return {"loss": -terms["elbo"], **terms, "psnr": psnr}
