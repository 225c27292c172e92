"""Semi-supervised VAEs: M2, and M2 on the latents of an M1.

Kingma et al. 2014. With q(z | x, y) and uniform p(y),

  L(x, y) = −log p(x | z, y) + KL(q(z | x, y) ‖ N(0, I)) + log K.

`method/few_labels.py` says how the loss is made of it: U of unlabelled examples
sums over all K labels, in one batched pass. Half the squared kernels over N are
a prior N(0, 1) on them.

With `features`, x is a sample of the latents of an M1 that nobody trains (take
its branches with config.init_from) and p(x | z, y) a Gaussian. Latents that
M1's decoder does not read are left out.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  few_labels,
  gaussian,
  kl_control,
  likelihoods,
  losses,
  objectives,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.m2 import BRANCHES
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.models.m2 import Model, build
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
  """Build the system that config.model, .loss and .optim describe."""
  model = build(config, facts)
  nets = model.nets
  soft = model.loss.soft
  likelihood = model.loss.likelihood
  players = {
    "model": Player(
      loss=functools.partial(_soft_loss if soft else _loss, model),
      tx=optim.build(config.optim),
      owns=(BRANCHES[1:] if soft else BRANCHES)
      + likelihoods.branches(likelihood),
    )
  }
  sizes = (math.prod(model.shape), model.classes, model.latents)

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    x = model.data(state.params, image)
    return nets.infer(state.params, x, condition)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    output = nets.generate(state.params, z, condition)
    if nets.m1:
      output = {"logits": nets.m1.logits(state.params, output["mean"])}
    mean = likelihood.mean(model.pixel_output(output["logits"]))
    return mean.reshape(-1, *model.shape)

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    found = nets.generate(state.params, z, condition)
    return model.pixel_output(found["logits"])

  branch, _ = likelihoods.init_variables(likelihood)
  prior = functools.partial(gaussian.draw, latents=model.latents)
  return System(
    init=lambda key: update.init_state(players, nets.init(key, sizes) | branch),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns=few_labels.columns(model.shape, model.classes),
    render=parts.make_render(encode, decode, prior),
    encode=encode,
    decode=decode,
    classify=lambda state, image: nets.classify(
      state.params, model.data(state.params, image)
    ),
    unlabelled=not config.data.get("labels", -1),
    **likelihoods.make_functions(None if nets.m1 else likelihood, output),
    # An M1 encodes the grey values, also where pixels are drawn.
    observe=binary if model.loss.binarise and nets.m1 is None else None,
    latents=model.latents,
    schedules=optim.rates(config.optim) | kl_control.schedule(model.loss.kl),
    notes=_notes(model) + few_labels.warnings(config, facts.rows),
  )


def _terms(
  model: Model,
  params,
  batch: Batch,
  key,
  drop=(None,) * 4,
  weight=1.0,
  step=None,
) -> Metrics:
  """Return U of the images and L and −log q(y | x) of the labelled, [B].

  The classifier learns from U by `weight`, the other networks in full.
  """
  keys = jax.random.split(key, 4)
  nets = model.nets

  # 1. UNLABELLED: U(x) = Σ_y q(y | x) L(x, y) − H(q(y | x)).
  x = model.data(params, batch["image"], keys[0])
  logq = jax.nn.log_softmax(nets.classify(params, x, drop[0]))
  logq = objectives.scale_gradient(logq, weight)
  every = jnp.eye(model.classes)[None]
  bounds = model.bound(params, x[:, None], every, keys[1], drop[1], step)

  # 2. LABELLED: L(x, y), and −log q(y | x) of the classifier.
  x = model.data(params, batch["labelled_image"], keys[2])
  y = batch["condition"]
  guess = jax.nn.log_softmax(nets.classify(params, x, drop[2]))
  of_label = model.bound(params, x[:, None], y[:, None], keys[3], drop[3], step)
  return few_labels.terms(logq, bounds, of_label, guess, y)


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop = (jax.random.fold_in(key, i) for i in range(5))
  weight = few_labels.classifier_weight(model.loss.warm_up, step)
  terms = _terms(model, params, batch, noise, drop, weight, step)
  terms = parts.means(terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = _l2(model, params)
  return few_labels.total(model.loss, terms), (terms, model_state)


def _soft_loss(model: Model, params, model_state, batch: Batch, key, step):
  """Return the source's loss: reconstruction + KL under y = q(y | x) itself.

  There is no label, no sum over labels and no entropy. No player owns the
  classifier, so y is a fixed random code of x.
  """
  keys = [jax.random.fold_in(key, i) for i in range(4)]
  x = model.data(params, batch["image"], keys[1])
  y = jax.nn.softmax(model.nets.classify(params, x, keys[2]))

  # 1. BOUND: −log p(x | z, y) + KL(q(z | x, y) ‖ N(0, I)); log K is left out.
  bound = model.bound(params, x[:, None], y[:, None], keys[0], keys[3], step)
  bound = bound.mean() - math.log(model.classes)

  # 2. KERNELS: l2 · Σ kernel², once a step.
  terms = {"l2": _l2(model, params)}
  return bound + terms["l2"], (terms, model_state)


def _l2(model: Model, params: PyTree) -> Array:
  kernels = [params[name] for name in BRANCHES]
  return losses.dense_l2(kernels, model.loss.l2)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Add the error of q(y | x) and the ELBO to the terms, each [B].

  Under an M1, U bounds log p(z₁); with M1's likelihood and posterior it is a
  bound on the pixels' again.
  """
  params = state.params
  nets = model.nets
  image = batch["image"]
  terms = _terms(model, params, batch, key)
  guess = nets.classify(params, model.data(params, batch["labelled_image"]))
  error = few_labels.error(guess, batch["label"])
  elbo = -terms["unlabelled"]
  if nets.m1:
    first = jax.random.split(key, 4)[0]  # as _terms draws them
    pixels = model.pixels(image, first)
    z = model.data(params, image, first)
    elbo -= losses.bernoulli_nats(pixels, nets.m1.logits(params, z))
    elbo -= nets.m1.posterior_excess(params, flat(image), z)
  return {"error": error, "elbo": elbo, **terms}


def _notes(model: Model) -> tuple[str, ...]:
  if model.loss.soft:
    return ("loss: reconstruction + KL, y = softmax of an untrained net",)
  return (few_labels.note(model.loss, model.classes),)
