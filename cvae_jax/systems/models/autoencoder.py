"""The networks of an autoencoder or a VAE of convolutions."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  kl_control,
  likelihoods,
  parts,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.dcgan import Decoder, Trunk
from cvae_jax.types import (
  Facts,
  PyTree,
)

REDUCTIONS = ("sum", "mean")


class Model(NamedTuple):
  """The two networks and the weights of the terms of their loss."""

  nets: Mapping[str, Any]  # encoder and decoder
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  variational: bool
  kl: kl_control.KLWeight
  reduction: tuple[str, str]  # over pixels, over latents
  likelihood: likelihoods.Likelihood
  binarise: bool  # draw pixels 0 or 1 from their grey values, in each step anew

  def encode(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Gaussian, PyTree]:
    """Return q(z | image) and statistics; a point if not `variational`."""
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

  def output(self, logits: Array) -> Array:
    """Return the likelihood's argument, from logits [B, H, W, C · width]."""
    return jax.nn.sigmoid(logits) if self.likelihood.means else logits

  def image(self, logits: Array) -> Array:
    """Return the mean image."""
    if self.likelihood.width == 1 and self.likelihood.means:
      return jax.nn.sigmoid(logits)
    mean = self.likelihood.mean(likelihoods.flat(logits))
    return mean.reshape(-1, *self.shape)

  def loss(self, nats: Array, kl: Array | float) -> Array:
    """Reduce the sums and weigh the KL as config.loss says.

    If the weight of the KL is not constant, `kl` is already weighted.
    """
    over_pixels, over_latents = self.reduction
    pixels = math.prod(self.shape) if over_pixels == "mean" else 1
    latents = self.latents if over_latents == "mean" else 1
    beta = self.kl.beta if self.kl.constant else 1.0
    return nats / pixels + beta * kl / latents


def init_variables(model: Model, key: Array) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state."""
  params, statistics = parts.init_branches(
    model.nets,
    key,
    encoder=jnp.zeros((1, *model.shape)),
    decoder=jnp.zeros((1, model.latents)),
  )
  branch, running = likelihoods.init_variables(model.likelihood)
  return params | branch, statistics | running


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a choice is not supported, or two do not fit together.
  """
  nets = config.model
  latents = nets.latents
  heads = ("mean", "logvar") if nets.variational else ("mean",)
  reduction = tuple(config.loss.reduction)
  if len(reduction) != 2 or set(reduction) - set(REDUCTIONS):
    raise ValueError(
      f"loss.reduction is one of {', '.join(REDUCTIONS)} for pixels and one "
      f"for latents; found {reduction}"
    )
  shape = facts.image_shape
  likelihood = likelihoods.build(config.loss, shape[-1], "bernoulli")
  kl = kl_control.read_kl_weight(config.loss)
  if not nets.variational:
    kl = kl_control.KLWeight(beta=0.0)
  return Model(
    nets={
      "encoder": Trunk(**nets.encoder, heads=dict.fromkeys(heads, latents)),
      "decoder": Decoder(**likelihoods.decoder(likelihood, nets.decoder)),
    },
    shape=facts.image_shape,
    latents=latents,
    variational=nets.variational,
    kl=kl,
    reduction=reduction,
    likelihood=likelihood,
    binarise=config.data.get("binarise", "") == "dynamic",
  )
