"""Autoencoder and VAE with convolutions, pixels in [0, 1].

The loss of one example is

    BCE(x, x̂) + beta · KL(q(z | x) ‖ N(0, I))

where the autoencoder has no KL (`variational` is off). `reduction` says
whether the loss takes sums or means over pixels and over latents. With
("sum", "sum") and beta 1 it is −ELBO. Another likelihood of config.loss takes
the place of BCE. With ("mean", "mean"), the default of
many frameworks, the KL of Z latents weighs D/Z times as much beside D pixel
values. Each term is logged as a sum in all cases.
"""

import functools
import math

import jax
from jax import Array

from cvae_jax.method import (
  gaussian,
  kl_control,
  likelihoods,
  losses,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import binary
from cvae_jax.systems.models.autoencoder import Model, build, init_variables
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  System,
  TrainState,
)

BRANCHES = ("encoder", "decoder")


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: a reduction is neither sum nor mean.
  """
  model = build(config, facts)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(model.likelihood),
    )
  }

  def encode(state: TrainState, image: Array, _: Array) -> Gaussian:
    return model.encode(state.params, state.model_state, image)[0]

  def decode(state: TrainState, z: Array, _: Array) -> Array:
    return model.image(model.logits(state.params, state.model_state, z)[0])

  def output(state: TrainState, z: Array, _: Array) -> Array:
    return model.output(model.logits(state.params, state.model_state, z)[0])

  likelihood = model.likelihood if model.variational else None
  return System(
    init=lambda key: update.init_state(players, *init_variables(model, key)),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (facts.condition_size,)},
    render=parts.make_render(
      encode, decode, functools.partial(gaussian.draw, latents=model.latents)
    ),
    encode=encode,
    decode=decode,
    **likelihoods.make_functions(likelihood, output),
    observe=binary if model.binarise else None,
    latents=model.latents,
    schedules=optim.rates(config.optim) | kl_control.schedule(model.kl),
    notes=_notes(model),
  )


def _forward(model: Model, state, batch: Batch, key, step=None):
  """Return the terms [B], the KL of each latent and the model_state.

  Args:
    model: the networks.
    state: (params, model_state).
    batch: images.
    key: of the noise.
    step: of the update, in training.
  """
  params, stats = state
  train = step is not None
  image = parts.unit(batch["image"])
  if model.binarise:
    image = binary(jax.random.fold_in(key, 1), image)
  q, stats = model.encode(params, stats, image, train)
  z = gaussian.reparameterise(key, q) if model.variational else q.mean
  logits, stats = model.logits(params, stats, z, train)

  # 1. RECONSTRUCTION: −log p(x | z), the binary cross-entropy summed over
  # pixels and channels, or the nats of another likelihood.
  nats, stats = likelihoods.measure_nats(
    model.likelihood, params, stats, image, model.output(logits), step
  )
  bernoulli = isinstance(model.likelihood, likelihoods.Bernoulli)
  terms = {"bce" if bernoulli else "reconstruction": nats}

  # 2. LATENTS: KL(q(z | x) ‖ N(0, I)), summed over latents.
  each = None
  kl = 0.0
  if model.variational:
    each = gaussian.kl_to_prior(q)
    kl = each.sum(axis=-1)
    terms |= {"kl": kl, "elbo": -nats - kl}
    terms |= likelihoods.bits(model.likelihood, terms["elbo"], model.shape)

  output = model.image(logits)
  terms["mse"] = losses.mean_squared_error(image, output)
  terms["psnr"] = losses.psnr(image, output)
  return {"loss": model.loss(nats, kl), **terms}, (nats, each), stats


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  state = params, model_state
  terms, (nats, each), stats = _forward(model, state, batch, key, step)
  terms = parts.means(terms)
  loss = terms.pop("loss")
  if not model.kl.constant:
    penalty = model.kl.penalty(each, step, model.latents)
    loss = model.loss(nats.mean(), penalty)
  return loss, (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  given = state.params, state.model_state
  terms, (nats, each), _ = _forward(model, given, batch, key)
  if not model.kl.constant:
    penalty = model.kl.per_example(each, state.step, model.latents)
    terms["loss"] = model.loss(nats, penalty)
  return terms


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the loss sums and weighs."""
  pixels, latents = (
    {"sum": "summed", "mean": "averaged"}[how] for how in model.reduction
  )
  kind = type(model.likelihood).__name__
  name = "BCE" if kind == "Bernoulli" else f"nats of {kind} values"
  loss = f"loss: {name} {pixels} over {math.prod(model.shape)} values"
  if model.variational:
    beta = f"{model.kl.beta:g}" if model.kl.constant else f"({model.kl})"
    loss += f" + {beta} × KL {latents} over {model.latents} latents"
  return (loss,)
