"""Semi-supervised adversarial autoencoders (Makhzani et al. 2015, section 5).

The encoder gives a digit x its class, q(y | x), and a style z; the decoder
reads both. Four players move in turn:

    autoencoder     w · Σ (x − x̂)², x̂ of z and of the probabilities q(y | x)
    discriminators  tell one-hot draws of Cat(1/K) from q(y | x), and draws of
                    N(0, I) from z
    generator       the encoder under an optimiser of its own: fools both
    classifier      the encoder under another one: the labelled digits'
                    cross-entropy, and agreement · KL(q(y | x) ‖ q(y | x̃)),
                    x̃ being a digit x distorted

The first three see digits without labels. Where no digit has a label, there is
no classifier, and y is a cluster (section 6 of the paper).
"""

import functools

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import (
  few_labels,
  gaussian,
  losses,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import flat
from cvae_jax.systems.models.ssaae import DISCRIMINATORS, Model, build
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  System,
  TrainState,
)

JUDGED = ("class", "style")  # by the discriminators, in this order


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe.

  Raises:
    ValueError: a condition is not one class, or there are no labels and
      loss.agreement is not 0.
  """
  model = build(config, facts)
  if model.agreement and not _has_labels(config):
    raise ValueError(
      f"loss.agreement={model.agreement:g} is of a classifier, which "
      "data.labels=0 leaves out; set loss.agreement=0"
    )
  players = _players(model, config)

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return gaussian.point(model.encode(state.params, image)[1])

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.decode(state.params, z, condition).reshape(-1, *model.shape)

  prior = functools.partial(gaussian.draw, latents=model.latents)
  return System(
    init=lambda key: update.init_state(players, model.init(key)),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns=few_labels.columns(model.shape, model.classes),
    render=parts.make_render(encode, decode, prior),
    encode=encode,
    decode=decode,
    classify=lambda state, image: model.encode(state.params, image)[0],
    unlabelled=not _has_labels(config),
    latents=model.latents,
    schedules=optim.rates(config.optim),
    notes=(_note(model, config) + few_labels.agreement_note(model.agreement),),
  )


def _has_labels(config) -> bool:
  return config.data.get("labels", -1) != 0


def _players(model: Model, config) -> dict[str, Player]:
  group = config.optim

  def player(loss, rate: float, *owns: str) -> Player:
    return Player(
      functools.partial(loss, model), optim.build(group, rate), owns
    )

  players = {
    "autoencoder": player(_reconstruction_loss, group.lr, "encoder", "decoder"),
    "discriminators": player(
      _discriminator_loss, group.adversarial_lr, *DISCRIMINATORS
    ),
    "generator": player(_generator_loss, group.adversarial_lr, "encoder"),
  }
  if _has_labels(config):
    players["classifier"] = player(
      _classifier_loss, group.supervised_lr, "encoder"
    )
  return players


def _reconstruct(model: Model, params, image: Array, key=None) -> Array:
  """Return x̂ [B, D] of images, of their own z and q(y | x)."""
  logits, z = model.encode(params, image, key)
  return model.decode(params, z, jax.nn.softmax(logits))


def _squared_error(model: Model, image: Array, output: Array) -> Array:
  """Return the weighted squared error of each image and its x̂, [B]."""
  return model.weight * losses.squared_error(flat(image), output)


def _reconstruction_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  # RECONSTRUCTION: w · Σ (x − x̂)², summed over pixels.
  image = batch["image"]
  output = _reconstruct(model, params, image, key)
  return _squared_error(model, image, output).mean(), ({}, model_state)


def _discriminator_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  noise, draw = jax.random.split(key)
  logits, z = model.encode(params, batch["image"], noise)
  on_codes = model.discriminate(params, jax.nn.softmax(logits), z)
  on_draws = model.discriminate(params, *model.draw(draw, len(z)))
  terms = {}
  accuracy = {}
  for name, fake, real in zip(JUDGED, on_codes, on_draws, strict=True):
    # 1. CODES: −log (1 − D(y)) for y = q(y | x), −log (1 − D(z)) for z.
    terms[f"{name}_codes"] = losses.discriminator_loss(fake, real=False)

    # 2. DRAWS: −log D(y) for y of Cat(1/K), −log D(z) for z of N(0, I).
    terms[f"{name}_draws"] = losses.discriminator_loss(real, real=True)

    right = jnp.concatenate([fake < 0, real > 0])
    accuracy[f"{name}_accuracy"] = right.mean()
  terms = parts.means(terms)
  return sum(terms.values()), (terms | accuracy, model_state)


def _generator_loss(model: Model, params, model_state, batch: Batch, key, step):
  logits, z = model.encode(params, batch["image"], key)
  on_class, on_style = model.discriminate(params, jax.nn.softmax(logits), z)
  terms = {
    # 1. CLASSES: −log D(y) for y = q(y | x).
    "class": losses.discriminator_loss(on_class, real=True),
    # 2. STYLES: −log D(z) for z of the encoder.
    "style": losses.discriminator_loss(on_style, real=True),
  }
  terms = parts.means(terms)
  return terms["class"] + terms["style"], (terms, model_state)


def _cross_entropy(model: Model, params, batch: Batch, key=None):
  """Return −log q(y | x) [B] of labelled images, and the logits."""
  logits, _ = model.encode(params, batch["labelled_image"], key)
  y = batch["condition"]
  return optax.losses.softmax_cross_entropy(logits, y), logits


def _classifier_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  # 1. CROSS-ENTROPY: −log q(y | x) of a labelled digit and its class.
  nats, _ = _cross_entropy(model, params, batch, key)
  terms = {"cross_entropy": nats.mean()}
  loss = terms["cross_entropy"]

  # 2. AGREEMENT: KL(q(y | x) ‖ q(y | x̃)), x̃ being an unlabelled x distorted.
  if model.agreement:
    target, _ = model.encode(params, batch["image"])
    form = jax.random.fold_in(key, 1)
    logits, _ = model.encode(params, batch["image"], form)
    logq = jax.nn.log_softmax(logits)
    terms["disagreement"] = few_labels.disagreement(target, logq).mean()
    loss += model.agreement * terms["disagreement"]
  return loss, (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return the error and the cross-entropy of q(y | x), and how near x̂ is.

  The weighted squared error and the PSNR are of images that are decoded from
  their own z and q(y | x). Each metric is [B].
  """
  image = batch["image"]
  nats, guess = _cross_entropy(model, state.params, batch)
  output = _reconstruct(model, state.params, image)
  return {
    "error": few_labels.error(guess, batch["label"]),
    "cross_entropy": nats,
    "weighted_squared_error": _squared_error(model, image, output),
    "psnr": losses.psnr(flat(image), output),
  }


def _note(model: Model, config) -> str:
  note = (
    f"loss: {model.weight:g} × squared error summed over the image; classes "
    f"shaped to Cat(1/{model.classes}), styles to N(0, I)"
  )
  if _has_labels(config):
    note += "; cross-entropy of labelled digits"
  return note
