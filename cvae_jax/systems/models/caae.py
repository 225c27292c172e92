"""The networks of the CAAE: an autoencoder and two critics."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from cvae_jax.method import parts
from cvae_jax.types import (
  PyTree,
)

CRITICS = ("latent_critic", "image_critic")


class Model(NamedTuple):
  """The four networks and the weights of the terms of E's and G's loss."""

  nets: Mapping[str, Any]  # encoder, decoder and the two critics
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  normalise: bool  # training normalises by the batch; the source never does
  tv: float
  code: float
  image: float

  def encode(self, params: PyTree, x: Array) -> Array:
    """Return the codes [B, Z] of images in [−1, 1]."""
    return self.nets["encoder"].apply({"params": params["encoder"]}, x)

  def decode(self, params: PyTree, z: Array, y: Array) -> Array:
    """Return images in [−1, 1] of codes and attributes in [−1, 1]."""
    return self.nets["decoder"].apply({"params": params["decoder"]}, z, y)

  def criticise(
    self, name: str, params: PyTree, stats: PyTree, *arrays: Array, train=False
  ) -> tuple[Array, PyTree]:
    """Return a critic's logits [B] and the statistics of all after it."""
    train = train and self.normalise
    return parts.apply_branch(
      self.nets, name, params, stats, *arrays, train=train
    )


def init_variables(
  model: Model, attributes: int, key: Array
) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state."""
  x = jnp.zeros((1, *model.shape))
  z = jnp.zeros((1, model.latents))
  y = jnp.zeros((1, attributes))
  params, statistics = parts.init_branches(
    model.nets,
    key,
    encoder=x,
    decoder=(z, y),
    latent_critic=z,
    image_critic=(x, y),
  )
  return params, {name: statistics[name] for name in CRITICS}
