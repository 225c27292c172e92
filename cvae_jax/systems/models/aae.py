"""The networks of the adversarial autoencoder, its codes and its draws."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import parts
from cvae_jax.method.names import check
from cvae_jax.method.priors import PRIORS, REGIONS
from cvae_jax.nets import images
from cvae_jax.nets.layers import dropout
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.types import (
  Batch,
  Facts,
  PyTree,
)

NOISES = ("", "gaussian", "dropout")  # on the encoder's input


class Model(NamedTuple):
  """The three networks, the prior and the weight of the loss."""

  encoder: MLP
  decoder: MLP
  discriminator: MLP
  prior: str
  latents: int
  slots: int  # one-hot labels that the discriminator sees: 0, 10 or 11
  noise: str  # of NOISES
  noise_level: float  # the noise's standard deviation, or its rate
  weight: float  # w of the squared error, which is summed over the image

  def encode(self, params: PyTree, image: Array, key=None) -> Array:
    """Return codes [B, Z] of images; without a key no noise is added."""
    x = flat(image)
    if key is not None and self.noise == "gaussian":
      x = x + self.noise_level * jax.random.normal(key, x.shape)
    elif key is not None and self.noise == "dropout":
      x = dropout(key, x, self.noise_level)
    return self.encoder.apply({"params": params["encoder"]}, x)["code"]

  def decode(self, params: PyTree, z: Array) -> Array:
    """Return pixels [B, D] in [0, 1] of codes."""
    logits = self.decoder.apply({"params": params["decoder"]}, z)["logits"]
    return jax.nn.sigmoid(logits)

  def discriminate(self, params: PyTree, z: Array, slot: Array | None) -> Array:
    """Return the logit [B] that z, with its slot, is a draw of the prior."""
    variables = {"params": params["discriminator"]}
    return self.discriminator.apply(variables, z, slot)["logit"][:, 0]

  def codes(self, params, batch: Batch, key) -> tuple[Array, Array | None]:
    """Return codes of the batch's images and the slots of their classes.

    Without slots they are codes of all images. With a slot for each region
    they are codes of the labelled images. With one slot more, which is for
    unlabelled images, they are codes of both.
    """
    names = []
    if self.slots != REGIONS:
      names.append("image")
    if self.slots:
      names.append("labelled_image")
    images = jnp.concatenate([batch[name] for name in names])
    slots = self._slots(batch["label"]) if self.slots else None
    return self.encode(params, images, key), slots

  def draws(self, key: Array, count: int) -> tuple[Array, Array | None]:
    """Draw as many points of the prior as `codes` returns, and their slots."""
    sets = 2 if self.slots > REGIONS else 1
    z, region = PRIORS[self.prior](key, sets * count, self.latents)
    return z, self._slots(region[-count:]) if self.slots else None

  def _slots(self, label: Array) -> Array:
    """Return one-hot labels; if unlabelled images have a slot, theirs first."""
    if self.slots > REGIONS:
      label = jnp.concatenate([jnp.full_like(label, REGIONS), label])
    return jax.nn.one_hot(label, self.slots)


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a choice is not supported, or two do not fit together.
  """
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
  encoder, decoder = _networks(nets, facts)
  return Model(
    encoder=encoder,
    decoder=decoder,
    discriminator=MLP(**nets.discriminator, heads={"logit": 1}),
    prior=check(PRIORS, nets.prior, "model.prior"),
    latents=nets.latents,
    slots=nets.slots,
    noise=check(NOISES, nets.noise, "model.noise"),
    noise_level=nets.noise_level,
    weight=config.loss.mse,
  )


def _networks(model, facts: Facts) -> tuple:
  """Return the encoder and the decoder that config.model describes."""
  shape = facts.image_shape
  heads = {"code": model.latents}
  if images.builds_itself(model):
    how = {"width": model.width, "blocks": model.blocks}
    return (
      images.Encoder(shape, heads, **how),
      images.PixelDecoder(shape, shape[-1], **how, mean=facts.mean),
    )
  output = {"logits": math.prod(shape)}
  return (
    MLP(**model.encoder, heads=heads),
    MLP(**model.decoder, heads=output),
  )


def init_params(model: Model, pixels: int, key: Array) -> PyTree:
  """Return the first parameters."""
  z = jnp.zeros((1, model.latents))
  nets = {
    "encoder": model.encoder,
    "decoder": model.decoder,
    "discriminator": model.discriminator,
  }
  params, _ = parts.init_branches(
    nets,
    key,
    encoder=jnp.zeros((1, pixels)),
    decoder=z,
    discriminator=(z, jnp.zeros((1, model.slots))),
  )
  return params
