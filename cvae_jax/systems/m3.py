"""M3: a VAE with a category between its latent and its decoder.

It comes from the original experiment of the zoo, not from a paper. Three
linear layers follow the sampled latent: z' = project(z), y = softmax of
classifier(z), and the decoder reads merge([z', y]). All networks are trained,
also those of the VAE, which config.init_from takes from a trained run. The
loss of one example is

    −log p(x | z) + KL(q(z | x) ‖ N(0, I))

with no term on y. Since merge is linear, a category only shifts what the
decoder reads.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import few_labels, gaussian, losses, optim, parts, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)


class Model(NamedTuple):
  """The networks, each a branch of params."""

  encoder: MLP
  decoder: MLP
  project: MLP
  classifier: MLP
  merge: MLP

  def encode(self, params: PyTree, x: Array, key=None) -> Gaussian:
    """Return q(z | x [B, D]); without a key dropout is off."""
    variables = {"params": params["encoder"]}
    return Gaussian(**self.encoder.apply(variables, x, None, key))

  def classify(self, params: PyTree, z: Array) -> Array:
    """Return the categories' logits [B, K] of z [B, Z]."""
    return self.classifier.apply({"params": params["classifier"]}, z)["logits"]

  def logits(self, params: PyTree, z: Array, y: Array, key=None) -> Array:
    """Return the pixels' logits [B, D] of z [B, Z] and categories [B, K]."""
    z = self.project.apply({"params": params["project"]}, z)["code"]
    code = self.merge.apply({"params": params["merge"]}, z, y)["code"]
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, code, None, key)["logits"]


def make(config, facts: Facts) -> System:
  """Build the system from config.model and .optim for the data's shapes.

  Raises:
    ValueError: a condition is not one class.
  """
  shape = facts.image_shape
  pixels = math.prod(shape)
  latents = config.model.latents
  classes = few_labels.count_classes(facts, "m3's categories are")

  def linear(**heads: int) -> MLP:
    return MLP(widths=(), heads=heads)

  model = Model(
    encoder=MLP(
      **config.model.encoder, heads={"mean": latents, "logvar": latents}
    ),
    decoder=MLP(**config.model.decoder, heads={"logits": pixels}),
    project=linear(code=latents),
    classifier=linear(logits=classes),
    merge=linear(code=latents),
  )
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=Model._fields,
    )
  }

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return model.encode(state.params, flat(image))

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    logits = model.logits(state.params, z, condition)
    return jax.nn.sigmoid(logits).reshape(-1, *shape)

  def classify(state: TrainState, image: Array) -> Array:
    mean = model.encode(state.params, flat(image)).mean
    return model.classify(state.params, mean)

  return System(
    init=lambda key: update.init_state(
      players, _init_params(model, (pixels, latents, classes), key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": shape, "condition": (classes,)},
    render=parts.make_render(
      encode, decode, functools.partial(gaussian.draw, latents=latents)
    ),
    encode=encode,
    decode=decode,
    classify=classify,
    unlabelled=True,
    latents=latents,
    schedules=optim.rates(config.optim),
    notes=("loss: −ELBO in nats, Bernoulli pixels; nothing on the category",),
  )


def _init_params(model: Model, sizes, key: Array) -> PyTree:
  x, z, y = (jnp.zeros((1, size)) for size in sizes)
  inputs = dict.fromkeys(Model._fields, z) | {"encoder": x, "merge": (z, y)}
  params, _ = parts.init_branches(model._asdict(), key, **inputs)
  return params


def _terms(model: Model, params, batch: Batch, noise, drop=(None, None)):
  """Return the terms of the loss, each [B]."""
  x = flat(batch["image"])
  q = model.encode(params, x, drop[0])
  z = gaussian.reparameterise(noise, q)
  y = jax.nn.softmax(model.classify(params, z))

  # 1. RECONSTRUCTION: −log p(x | z), the binary cross-entropy summed over
  # pixels.
  reconstruction = losses.bernoulli_nats(x, model.logits(params, z, y, drop[1]))

  # 2. LATENTS: KL(q(z | x) ‖ N(0, I)), summed over latents.
  kl = gaussian.kl_to_prior(q).sum(axis=-1)

  return {
    "reconstruction": reconstruction,
    "kl": kl,
    "elbo": -reconstruction - kl,
  }


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop = (jax.random.fold_in(key, i) for i in range(3))
  terms = _terms(model, params, batch, noise, drop)
  terms = parts.means(terms)
  return -terms["elbo"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  terms = _terms(model, state.params, batch, key)
  return {"loss": -terms["elbo"], **terms}
