"""Autoencoder and VAE with convolutions, pixels in [0, 1].

The loss of one example is

    BCE(x, x̂) + beta · KL(q(z | x) ‖ N(0, I))

where the autoencoder has no KL (`variational` is off). `reduction` says
whether the loss takes sums or means over pixels and over latents. With
("sum", "sum") and beta 1 it is −ELBO. With ("mean", "mean"), the default of
many frameworks, the KL of Z latents weighs D/Z times as much beside D pixel
values. Each term is logged as a sum in all cases.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, schedules, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.dcgan import Decoder, Trunk
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
REDUCTIONS = ("sum", "mean")


class Model(NamedTuple):
  """The two networks and what weighs the terms of their loss."""

  nets: Mapping[str, Any]  # encoder and decoder
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  variational: bool
  beta: float
  reduction: tuple[str, str]  # over pixels, over latents

  def encode(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Gaussian, PyTree]:
    """Return q(z | image), a point without `variational`, and statistics."""
    heads, stats = parts.apply_branch(
      self.nets, "encoder", params, stats, image, train=train
    )
    if not self.variational:
      return gaussian.point(heads["mean"]), stats
    return Gaussian(**heads), stats

  def logits(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Return the pixels' logits [B, H, W, C] of z, and statistics."""
    return parts.apply_branch(
      self.nets, "decoder", params, stats, z, train=train
    )

  def loss(self, bce: Array, kl: Array | float) -> Array:
    """Reduce and weigh the sums [B] as config.loss says, [B]."""
    over_pixels, over_latents = self.reduction
    pixels = math.prod(self.shape) if over_pixels == "mean" else 1
    latents = self.latents if over_latents == "mean" else 1
    return bce / pixels + self.beta * kl / latents


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: a reduction is neither sum nor mean.
  """
  model = _model(config, facts)
  lr = schedules.learning_rate(config.optim)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim, lr),
      owns=BRANCHES,
    )
  }

  def encode(state: TrainState, image: Array, _: Array) -> Gaussian:
    return model.encode(state.params, state.model_state, image)[0]

  def decode(state: TrainState, z: Array, _: Array) -> Array:
    return jax.nn.sigmoid(model.logits(state.params, state.model_state, z)[0])

  return System(
    init=lambda key: update.init_state(
      players,
      *parts.init_branches(
        model.nets,
        key,
        encoder=jnp.zeros((1, *model.shape)),
        decoder=jnp.zeros((1, model.latents)),
      ),
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (facts.conditions,)},
    render=parts.make_render(
      encode, decode, functools.partial(gaussian.draw, latents=model.latents)
    ),
    encode=encode,
    decode=decode,
    nats=losses.bernoulli_nats_of_means if model.variational else None,
    latents=model.latents,
    schedules={"learning_rate": lr},
    notes=_notes(model),
  )


def _model(config, facts: Facts) -> Model:
  nets = config.model
  latents = nets.latents
  heads = ("mean", "logvar") if nets.variational else ("mean",)
  reduction = tuple(config.loss.reduction)
  if len(reduction) != 2 or set(reduction) - set(REDUCTIONS):
    raise ValueError(
      f"loss.reduction is one of {', '.join(REDUCTIONS)} for pixels and one "
      f"for latents; found {reduction}"
    )
  return Model(
    nets={
      "encoder": Trunk(**nets.encoder, heads=dict.fromkeys(heads, latents)),
      "decoder": Decoder(**nets.decoder),
    },
    shape=facts.image_shape,
    latents=latents,
    variational=nets.variational,
    beta=config.loss.beta if nets.variational else 0.0,
    reduction=reduction,
  )


def _forward(model: Model, params, stats, batch: Batch, key, train=False):
  """Return the terms [B], the loss among them, and the statistics."""
  image = batch["image"].astype(jnp.float32) / 255.0
  q, stats = model.encode(params, stats, image, train)
  z = gaussian.reparameterise(key, q) if model.variational else q.mean
  logits, stats = model.logits(params, stats, z, train)

  # 1. RECONSTRUCTION: −log p(x | z), the binary cross-entropy summed over
  # pixels and channels.
  bce = losses.bernoulli_nats_of_images(image, logits)
  terms = {"bce": bce}

  # 2. LATENTS: KL(q(z | x) ‖ N(0, I)), summed over latents.
  kl = 0.0
  if model.variational:
    kl = gaussian.kl_to_prior(q).sum(axis=-1)
    terms |= {"kl": kl, "elbo": -bce - kl}

  output = jax.nn.sigmoid(logits)
  terms["mse"] = losses.mean_squared_error(image, output)
  terms["psnr"] = losses.psnr(image, output)
  return {"loss": model.loss(bce, kl), **terms}, stats


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  terms, stats = _forward(model, params, model_state, batch, key, train=True)
  terms = parts.means(terms)
  return terms.pop("loss"), (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  return _forward(model, state.params, state.model_state, batch, key)[0]


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the loss sums and weighs."""
  pixels, latents = (
    {"sum": "summed", "mean": "averaged"}[how] for how in model.reduction
  )
  loss = f"loss: BCE {pixels} over {math.prod(model.shape)} values"
  if model.variational:
    loss += f" + {model.beta:g} × KL {latents} over {model.latents} latents"
  return (loss,)
