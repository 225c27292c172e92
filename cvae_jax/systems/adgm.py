"""Semi-supervised VAEs with an auxiliary latent: ADGM, SDGM (Maaløe 2016).

Beside z there is a, by which q(z | x) is richer than a Gaussian, and which the
classifier, q(y | a, x), reads. With a from q(a | x), z from q(z | a, x, y) and
uniform p(y),

  L(x, y) = −log p(x | y, z) − log p(a | x, y, z) + log q(a | x)
            + KL(q(z | a, x, y) ‖ N(0, I)) + log K.

`method/few_labels.py` says how the loss is made of it, and what the agreement
of an image and its distorted one is. With model.skip it is SDGM: p(x | a, y, z)
and p(a | y, z).
"""

import functools
from collections.abc import Callable

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
from cvae_jax.nets.mlp import binary, flat
from cvae_jax.systems.models.adgm import BRANCHES, Model, build
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
  nets = model.nets
  branch, _ = likelihoods.init_variables(model.likelihood)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + tuple(branch),
    )
  }

  encode, output, decode = _make_functions(model)

  # SDGM's p(x | y, z) is an integral over a, of which a mean is no value.
  likelihood = None if nets.skip else model.likelihood
  return System(
    init=lambda key: update.init_state(
      players, nets.init(key, model.sizes) | branch
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns=few_labels.columns(model.shape, model.sizes[1]),
    render=parts.make_render(
      encode, decode, functools.partial(gaussian.draw, latents=model.sizes[-1])
    ),
    encode=encode,
    decode=decode,
    classify=lambda state, image: _guess(model, state.params, flat(image)),
    unlabelled=not config.data.get("labels", -1),
    **likelihoods.make_functions(likelihood, output),
    observe=binary if model.binarise else None,
    latents=model.sizes[-1],
    schedules=optim.rates(config.optim) | kl_control.schedule(model.kl),
    notes=(
      few_labels.note(model, model.sizes[1])
      + few_labels.agreement_note(model.agreement),
      *few_labels.warnings(config, facts.rows),
    ),
  )


def _make_functions(model: Model) -> tuple[Callable, Callable, Callable]:
  """Return the system's encode, output and decode; a is its mean in them."""
  nets = model.nets

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    x = flat(image)
    a = nets.encode_auxiliary(state.params, x).mean
    return nets.infer(state.params, x, a, condition)

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    a = None
    if nets.skip:
      a = nets.decode_auxiliary(state.params, None, condition, z).mean
    return model.output(nets.generate(state.params, condition, z, a))

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    mean = model.likelihood.mean(output(state, z, condition))
    return mean.reshape(-1, *model.shape)

  return encode, output, decode


def _guess(model: Model, params: PyTree, x: Array) -> Array:
  """Return the logits [B, K] of q(y | a, x) at the mean of q(a | x)."""
  return model.nets.classify(
    params, x, model.nets.encode_auxiliary(params, x).mean
  )


def _terms(
  model: Model,
  params,
  batch: Batch,
  key,
  drop=(None,) * 2,
  weight=1.0,
  step=None,
  target=None,
) -> Metrics:
  """Return U of the images and L and −log q(y | a, x) of the labelled, [B].

  The classifier learns from U by `weight`, the other networks in full. With the
  images' logits before they were distorted as `target`, the KL of their classes
  to q(y | a, x) is a term, too, from which it learns by the same weight.
  """
  keys = jax.random.split(key, 6)
  nets = model.nets
  x = flat(batch["image"])
  labelled = flat(batch["labelled_image"])
  if model.binarise:
    x = binary(keys[0], x)
    labelled = binary(keys[1], labelled)
  y = batch["condition"]

  # 1. UNLABELLED: Σ_y q(y | a, x) L(x, y) − H(q(y | a, x)).
  q_a = nets.encode_auxiliary(params, x[:, None])
  a = gaussian.reparameterise(keys[2], q_a)
  logq = jax.nn.log_softmax(nets.classify(params, x, a[:, 0], drop[0]))
  logq = objectives.scale_gradient(logq, weight)
  every = jnp.eye(model.sizes[1])[None]
  bounds = model.bound(params, x[:, None], every, a, q_a, keys[3], step)

  # 2. LABELLED: L(x, y), and the cross-entropy of the classifier.
  q_a = nets.encode_auxiliary(params, labelled[:, None])
  a = gaussian.reparameterise(keys[4], q_a)
  guess = nets.classify(params, labelled, a[:, 0], drop[1])
  guess = jax.nn.log_softmax(guess)
  of_label = model.bound(
    params, labelled[:, None], y[:, None], a, q_a, keys[5], step
  )
  terms = few_labels.terms(logq, bounds, of_label, guess, y)
  if target is not None:
    terms["disagreement"] = few_labels.disagreement(target, logq)
  return terms


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop, form = (jax.random.fold_in(key, i) for i in range(4))
  weight = few_labels.classifier_weight(model.warm_up, step)
  target = None
  if model.agreement:
    target = _guess(model, params, flat(batch["image"]))
  batch = model.distort(batch, form)
  terms = _terms(model, params, batch, noise, drop, weight, step, target)
  terms = parts.means(terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  kernels = [params[name] for name in BRANCHES]
  terms["l2"] = losses.dense_l2(kernels, model.l2)
  loss = few_labels.total(model, terms)

  # 4. AGREEMENT: KL(q(y | a, x) ‖ q(y | a, x̃)), x̃ being x distorted.
  if model.agreement:
    loss += model.agreement * terms["disagreement"]
  return loss, (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Add the error of q(y | a, x) and the ELBO to the terms, each [B]."""
  terms = _terms(model, state.params, batch, key)
  guess = _guess(model, state.params, flat(batch["labelled_image"]))
  error = few_labels.error(guess, batch["label"])
  return {"error": error, "elbo": -terms["unlabelled"], **terms}
