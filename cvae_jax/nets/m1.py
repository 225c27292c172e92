"""M1: a trained VAE as features for another model (Kingma et al. 2014)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import MLP
from cvae_jax.types import PyTree

READ = 0.1  # × the largest norm of a latent's weights: a decoder reads more


class M1(NamedTuple):
  """The networks of params' branches encoder and decoder, those of a VAE.

  The posterior of a latent that the decoder does not read is the prior, so
  this latent is noise. As a feature it is 0.
  """

  encoder: MLP
  decoder: MLP
  latents: int

  def encode(self, params: PyTree, pixels: Array) -> Gaussian:
    """Return q(z₁ | pixels [B, D])."""
    variables = {"params": params["encoder"]}
    return Gaussian(**self.encoder.apply(variables, pixels))

  def logits(self, params: PyTree, z: Array) -> Array:
    """Return the pixels' logits [B, D] of z₁ [B, Z]."""
    return self.decoder.apply({"params": params["decoder"]}, z)["logits"]

  def features(self, params: PyTree, pixels: Array, key=None) -> Array:
    """Draw z₁ [B, Z] of pixels; without a key return its mean."""
    q = self.encode(params, pixels)
    z = q.mean if key is None else gaussian.reparameterise(key, q)
    return self.mask_unread(params, z)

  def mask_unread(self, params: PyTree, values: Array, others=0.0) -> Array:
    """Keep values [..., Z] of latents that are read; set others to `others`."""
    kernel = params["decoder"]["dense_0"]["kernel"][: self.latents]
    norms = jnp.linalg.norm(kernel, axis=-1)
    # A relative bound: Adam's steps keep unread weights from reaching 0.
    read = norms > READ * norms.max()
    return jnp.where(jnp.broadcast_to(read, values.shape), values, others)

  def posterior_excess(self, params: PyTree, pixels: Array, z: Array) -> Array:
    """Return log q(z₁ | pixels) in nats [B]; for unread latents their KL.

    A bound on log p(pixels) is the bound on log p(z₁) of the features z [B, Z],
    plus log p(pixels | z₁), minus this.
    """
    q = self.encode(params, pixels)
    spent = self.mask_unread(
      params, -gaussian.nats(z, q), gaussian.kl_to_prior(q)
    )
    return spent.sum(axis=-1)
