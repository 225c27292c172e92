"""Adversarial autoencoders, label-aware or not (Makhzani et al. 2015; zoo §7).

Three players in turn: the autoencoder reduces the squared error; the
discriminator learns to tell codes from draws of the prior; the generator,
which is the encoder under an optimiser of its own, learns to pass for them.

With `slots` the discriminator sees where a point should lie as well (§2.3 of
the paper; zoo §8): a draw comes with the one-hot region it lies in, a code
with its class. One slot more than regions is for unlabelled digits and draws
from the whole prior.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import grids, losses, update
from cvae_jax.gaussian import Gaussian
from cvae_jax.names import checked
from cvae_jax.nets.layers import dropout
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.priors import PRIORS, REGIONS, Draw
from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState

NOISES = ("", "gaussian", "dropout")  # on the encoder's input


class Model(NamedTuple):
  """The three networks, the prior and what weighs the loss."""

  encoder: MLP
  decoder: MLP
  discriminator: MLP
  prior: str
  latents: int
  slots: int  # labels that the discriminator is told: 0, 10 or 11
  noise: str  # of NOISES
  noise_level: float  # its deviation or its rate
  mse: float  # × squared error summed over the image

  def encode(self, params: PyTree, image: Array, key=None) -> Array:
    """Gives codes [B, Z] of images; without a key no noise is added."""
    x = flat(image)
    if key is not None and self.noise == "gaussian":
      x = x + self.noise_level * jax.random.normal(key, x.shape)
    elif key is not None and self.noise == "dropout":
      x = dropout(key, x, self.noise_level)
    return self.encoder.apply({"params": params["encoder"]}, x)["code"]

  def decode(self, params: PyTree, z: Array) -> Array:
    """Gives pixels [B, D] in [0, 1] of codes."""
    logits = self.decoder.apply({"params": params["decoder"]}, z)["logits"]
    return jax.nn.sigmoid(logits)

  def judge(self, params: PyTree, z: Array, slot: Array | None) -> Array:
    """Gives the logit [B] of z being drawn from the prior, in its slot."""
    variables = {"params": params["discriminator"]}
    return self.discriminator.apply(variables, z, slot)["logit"][:, 0]

  def codes(self, params, batch: Batch, key) -> tuple[Array, Array | None]:
    """Gives codes of the batch's images and the slots of their classes.

    With a slot for the unlabelled, of all images in it and of the labelled.
    """
    names = {0: ["image"], REGIONS: ["labelled_image"]}.get(
      self.slots, ["image", "labelled_image"]
    )
    images = jnp.concatenate([batch[name] for name in names])
    slots = self._slots(batch["label"]) if self.slots else None
    return self.encode(params, images, key), slots

  def draws(self, key: Array, count: int) -> tuple[Array, Array | None]:
    """Draws points of the prior and their slots, as `codes` has them."""
    sets = 2 if self.slots > REGIONS else 1
    z, region = PRIORS[self.prior](key, sets * count, self.latents)
    return z, self._slots(region[-count:]) if self.slots else None

  def _slots(self, label: Array) -> Array:
    """Gives one-hot labels, behind as many unlabelled if those have a slot."""
    if self.slots > REGIONS:
      label = jnp.concatenate([jnp.full_like(label, REGIONS), label])
    return jax.nn.one_hot(label, self.slots)


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes.

  Raises:
    ValueError: the prior, the slots and the latents do not fit together.
  """
  shape = tuple(config.data.image_shape)
  model = _model(config, shape)
  players = _players(model, config)
  columns = {"image": shape, "condition": (config.data.conditions,)}
  if model.slots:
    columns |= {"labelled_image": shape, "label": ()}

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    code = model.encode(state.params, image)
    return Gaussian(code, jnp.full_like(code, -jnp.inf))  # a point

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.decode(state.params, z).reshape(-1, *shape)

  def regions(key: Array, count: int) -> Draw:
    return PRIORS[model.prior](key, count, model.latents)

  def prior(key: Array, count: int) -> Array:
    return regions(key, count).z

  return System(
    init=lambda key: update.init_state(
      players, _parameters(model, math.prod(shape), key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns=columns,
    render=grids.make_render(encode, decode, prior),
    encode=encode,
    decode=decode,
    latents=model.latents,
    prior=prior,
    regions=regions if model.slots else None,
    notes=(
      f"loss: {model.mse:g} × squared error summed over "
      f"{math.prod(shape)} values; codes shaped to the prior {model.prior!r}"
      + (f" by {model.slots} slots" if model.slots else ""),
    ),
  )


def _model(config, shape: tuple[int, ...]) -> Model:
  nets = config.model
  if nets.slots not in (0, REGIONS, REGIONS + 1):
    raise ValueError(
      f"model.slots={nets.slots}: expected 0 (no labels), {REGIONS} (all) or "
      f"{REGIONS + 1} (one for unlabelled digits)"
    )
  if nets.slots and nets.latents != 2:
    raise ValueError(
      f"the regions of a prior lie in the plane: with model.slots latents are "
      f"2, found {nets.latents}"
    )
  output = {"logits": math.prod(shape)}
  return Model(
    encoder=MLP(**nets.encoder, heads={"code": nets.latents}),
    decoder=MLP(**nets.decoder, heads=output),
    discriminator=MLP(**nets.discriminator, heads={"logit": 1}),
    prior=checked(PRIORS, nets.prior, "model.prior"),
    latents=nets.latents,
    slots=nets.slots,
    noise=checked(NOISES, nets.noise, "model.noise"),
    noise_level=nets.noise_level,
    mse=config.loss.mse,
  )


def _players(model: Model, config) -> dict[str, Player]:
  """Gives the players in order; the generator may move more than once.

  Each of its moves has Adam moments of its own.
  """
  optim = config.optim
  if optim.generator_updates < 1:
    raise ValueError(
      f"optim.generator_updates is 1 or more; found {optim.generator_updates}"
    )

  def player(loss, rate: float, *owns: str) -> Player:
    optimiser = optax.adam(rate, b1=optim.beta1, eps=optim.eps)
    return Player(functools.partial(loss, model), optimiser, owns)

  generators = {
    "generator" + (f"_{i + 1}" if i else ""): player(
      _generate, optim.adversarial_lr, "encoder"
    )
    for i in range(optim.generator_updates)
  }
  return {
    "autoencoder": player(_reconstruct, optim.lr, "encoder", "decoder"),
    "discriminator": player(
      _discriminate, optim.adversarial_lr, "discriminator"
    ),
    **generators,
  }


def _parameters(model: Model, pixels: int, key: Array) -> PyTree:
  z = jnp.zeros((1, model.latents))
  inputs = {
    "encoder": (model.encoder, jnp.zeros((1, pixels))),
    "decoder": (model.decoder, z),
    "discriminator": (model.discriminator, z, jnp.zeros((1, model.slots))),
  }
  return {
    name: net.init(jax.random.fold_in(key, i), *arrays)["params"]
    for i, (name, (net, *arrays)) in enumerate(inputs.items())
  }


def _squared_error(model: Model, params, batch: Batch, key=None) -> Array:
  """Gives the weighted squared error of each image, [B]."""
  output = model.decode(params, model.encode(params, batch["image"], key))
  return model.mse * losses.squared_error(flat(batch["image"]), output)


def _reconstruct(model: Model, params, model_state, batch: Batch, key, step):
  return _squared_error(model, params, batch, key).mean(), ({}, model_state)


def _discriminate(model: Model, params, model_state, batch: Batch, key, step):
  noise, draw = jax.random.split(key)
  z, slot = model.codes(params, batch, noise)
  codes = model.judge(params, z, slot)
  draws = model.judge(params, *model.draws(draw, len(batch["image"])))
  terms = {
    "codes": losses.judged(codes, False).mean(),
    "draws": losses.judged(draws, True).mean(),
  }
  right = jnp.concatenate([codes < 0, draws > 0]).mean()
  total = terms["codes"] + terms["draws"]
  return total, ({**terms, "accuracy": right}, model_state)


def _generate(model: Model, params, model_state, batch: Batch, key, step):
  logit = model.judge(params, *model.codes(params, batch, key))
  return losses.judged(logit, True).mean(), ({}, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Gives the weighted squared error and the PSNR of each image, [B]."""
  x = batch["image"]
  output = model.decode(state.params, model.encode(state.params, x))
  return {
    "mse": _squared_error(model, state.params, batch),
    "psnr": losses.psnr(flat(x), output),
  }
