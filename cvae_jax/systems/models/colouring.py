"""The network that colours a grey image."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  cells,
  kl_control,
  likelihoods,
  parts,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.colouring import Decoder, Encoder
from cvae_jax.types import (
  Batch,
  PyTree,
)


class Model(NamedTuple):
  """The two networks and the weights of the terms of their loss."""

  encoder: Encoder
  decoder: Decoder
  positions: int
  weight: float  # of the mean of the two squared errors
  likelihood: likelihoods.Likelihood  # of the colour
  kl: kl_control.KLWeight
  saturation: float
  l2: float
  second_pass: bool  # the KL comes from a second encoder pass

  def inputs(self, batch: Batch) -> tuple[Array, Array, Array]:
    """Cut levels [B, 4, 14, 14], position and true colour [B, 2]."""
    photo = batch["photo"]
    cell = batch["cell"]
    levels = cells.pyramid(
      cells.grey(photo), jnp.arange(len(cell)), cell, whole_bytes=True
    )
    position = cells.positions(cell, self.positions)
    return levels, position, cells.targets(photo, cell)

  def encode(self, params: PyTree, inputs, key=None) -> Gaussian:
    """Return q(z | levels, position, colour); without a key dropout is off."""
    return self.encoder.apply({"params": params["encoder"]}, *inputs, key)

  def decode(self, params: PyTree, levels, position, z, key=None) -> Array:
    """Return colours [B, V, 2] of z [B, V, Z]; without a key no dropout."""
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, levels, position, z, key)


def read_likelihood(loss) -> likelihoods.Likelihood:
  """Return the likelihood of a colour, a point of the plane.

  Raises:
    ValueError: it is one of values in [0, 1].
  """
  if (name := loss.get("likelihood", "")) not in ("", "gaussian", "sigma"):
    raise ValueError(
      f"a colour is a point of a plane: loss.likelihood is gaussian or sigma; "
      f"found {name!r}"
    )
  found = likelihoods.build(loss, 2, "gaussian")
  if isinstance(found, likelihoods.Gaussian):
    found = found._replace(weight=0.5 * loss.mse)
  return found


def init_variables(model: Model, key: Array) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state."""
  levels = jnp.zeros((1, len(cells.FACTORS), cells.GRID, cells.GRID))
  position = jnp.zeros((1, model.positions))
  colour = jnp.zeros((1, 2))
  z = jnp.zeros((1, 1, model.encoder.latents))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  params, _ = parts.init_branches(
    nets,
    key,
    encoder=(levels, position, colour),
    decoder=(levels, position, z),
  )
  branch, running = likelihoods.init_variables(model.likelihood)
  return params | branch, running
