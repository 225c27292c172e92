"""Autoencoder and VAE with pixels in [0, 1] (homework §B).

Loss of one example: BCE, and for the VAE (`variational`) + beta · KL to
N(0, I). `reduction` says what becomes of the sums over pixels and over
latents: ("sum", "sum") is −ELBO at beta 1; ("mean", "mean"), the default of
many frameworks, weighs the KL of Z latents and D pixel values D/Z times as
much. Every term is logged as a sum, whatever the loss makes of it.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import gaussian, grids, losses, schedules, update
from cvae_jax.gaussian import Gaussian
from cvae_jax.nets import blocks
from cvae_jax.nets.dcgan import Decoder, Trunk
from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState

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
    """Gives q(z | image), a point without `variational`, and statistics."""
    heads, stats = blocks.apply_branch(
      self.nets, "encoder", params, stats, image, train=train
    )
    if not self.variational:
      point = jnp.full_like(heads["mean"], -jnp.inf)
      return Gaussian(heads["mean"], point), stats
    return Gaussian(**heads), stats

  def logits(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Gives the pixels' logits [B, H, W, C] of z and statistics."""
    return blocks.apply_branch(
      self.nets, "decoder", params, stats, z, train=train
    )

  def loss(self, bce: Array, kl: Array | float) -> Array:
    """Reduces and weighs the sums [B] as config.loss says, [B]."""
    sizes = math.prod(self.shape), self.latents
    pixels, latents = (
      size if how == "mean" else 1
      for size, how in zip(sizes, self.reduction, strict=True)
    )
    return bce / pixels + self.beta * kl / latents


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes.

  Raises:
    ValueError: a reduction is neither sum nor mean.
  """
  model = _model(config)
  lr = schedules.learning_rate(config.optim)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optax.adam(lr, b1=config.optim.b1, eps=config.optim.eps),
      owns=("encoder", "decoder"),
    )
  }

  def encode(state: TrainState, image: Array, _: Array) -> Gaussian:
    return model.encode(state.params, state.model_state, image)[0]

  def decode(state: TrainState, z: Array, _: Array) -> Array:
    return jax.nn.sigmoid(model.logits(state.params, state.model_state, z)[0])

  return System(
    init=lambda key: update.init_state(
      players,
      *blocks.init_branches(
        model.nets,
        key,
        encoder=jnp.zeros((1, *model.shape)),
        decoder=jnp.zeros((1, model.latents)),
      ),
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (config.data.conditions,)},
    render=grids.make_render(
      encode, decode, functools.partial(gaussian.draw, latents=model.latents)
    ),
    encode=encode,
    decode=decode,
    nats=losses.bernoulli_nats_of_means if model.variational else None,
    latents=model.latents,
    schedules={"learning_rate": lr},
    notes=_notes(model),
  )


def _model(config) -> Model:
  nets, latents = config.model, config.model.latents
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
    shape=tuple(config.data.image_shape),
    latents=latents,
    variational=nets.variational,
    beta=config.loss.beta if nets.variational else 0.0,
    reduction=reduction,
  )


def _forward(model: Model, params, stats, batch: Batch, key, train=False):
  """Gives the terms [B], the loss among them, and the statistics."""
  image = batch["image"].astype(jnp.float32) / 255.0
  q, stats = model.encode(params, stats, image, train)
  z = gaussian.reparameterise(key, q) if model.variational else q.mean
  logits, stats = model.logits(params, stats, z, train)
  bce, kl = losses.bernoulli_nats_of_images(image, logits), 0.0
  terms = {"bce": bce}
  if model.variational:
    kl = gaussian.kl_to_prior(q).sum(axis=-1)
    terms |= {"kl": kl, "elbo": -bce - kl}
  output = jax.nn.sigmoid(logits)
  terms["mse"] = losses.squared_error(image, output) / math.prod(model.shape)
  terms["psnr"] = losses.psnr(image, output)
  return {"loss": model.loss(bce, kl), **terms}, stats


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  terms, stats = _forward(model, params, model_state, batch, key, train=True)
  terms = {name: term.mean() for name, term in terms.items()}
  return terms.pop("loss"), (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  return _forward(model, state.params, state.model_state, batch, key)[0]


def _notes(model: Model) -> tuple[str, ...]:
  """Says what the loss sums and weighs."""
  pixels, latents = (
    {"sum": "summed", "mean": "averaged"}[how] for how in model.reduction
  )
  loss = f"loss: BCE {pixels} over {math.prod(model.shape)} values"
  if model.variational:
    loss += f" + {model.beta:g} × KL {latents} over {model.latents} latents"
  return (loss,)
