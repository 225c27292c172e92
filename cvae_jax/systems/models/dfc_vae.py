"""The networks of the DFC-VAE, with the features that its loss compares."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  likelihoods,
  losses,
  parts,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.features import Features
from cvae_jax.types import (
  Metrics,
  PyTree,
)

BRANCHES = ("encoder", "decoder")


class Model(NamedTuple):
  """The networks and the weights of the terms of their loss."""

  nets: Mapping[str, Any]  # encoder and decoder
  features: Features
  latents: int
  shape: tuple[int, ...]  # (H, W, C)
  normalise: bool  # training normalises by the batch; the source never does
  kl: float
  weight: float  # w of each tap's mean squared difference
  likelihood: likelihoods.Likelihood | None  # of pixels, if the loss has them

  def encode(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Gaussian, PyTree]:
    """Return q(z | image) and the statistics after it."""
    return parts.apply_branch(
      self.nets, "encoder", params, stats, image, train=train
    )

  def decode(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Return the images of z [B, Z] and the statistics after it."""
    return parts.apply_branch(
      self.nets, "decoder", params, stats, z, train=train
    )

  def distances(self, params: PyTree, image: Array, output: Array) -> Metrics:
    """Return each tap's mean squared difference, {tap: [B]}."""
    if not self.features.taps:
      return {}
    variables = {"params": params["features"]}
    target = self.features.apply(variables, image)
    found = self.features.apply(variables, output)
    return {
      tap: losses.mean_squared_error(target[tap], found[tap])
      for tap in self.features.taps
    }

  def image(self, output: Array) -> Array:
    """Return the mean image of an output."""
    if self.likelihood is None or self.likelihood.means:
      return output
    mean = self.likelihood.mean(likelihoods.flat(output))
    return mean.reshape(-1, *self.shape)


def read_likelihood(loss, channels: int) -> likelihoods.Likelihood | None:
  """Return p(x | z) of pixels, None if the loss has no term of pixels.

  It is a Gaussian of the weight `pixel`, or another one by its name.

  Raises:
    ValueError: there is none of this name, or a Gaussian has two weights.
  """
  name = loss.get("likelihood", "")
  if not (name or loss.pixel):
    return None
  if name in ("", "gaussian") and loss.pixel:
    if (weight := loss.get("mse", 0.5)) != 0.5:
      raise ValueError(
        f"loss.pixel={loss.pixel:g} is the weight of the squared error here; "
        f"found loss.mse={weight:g} beside it: leave one out"
      )
    return likelihoods.Gaussian(loss.pixel)
  return likelihoods.build(loss, channels, "gaussian")


def init_variables(model: Model, key: Array) -> tuple[PyTree, PyTree]:
  """Draw the parameters, also those of features that come from no file."""
  image = jnp.zeros((1, *model.shape))
  nets = dict(model.nets)
  if model.features.taps:
    nets["features"] = model.features
  params, statistics = parts.init_branches(
    nets,
    key,
    encoder=image,
    decoder=jnp.zeros((1, model.latents)),
    features=image,
  )
  statistics = {branch: statistics[branch] for branch in BRANCHES}
  if model.likelihood is None:
    return params, statistics
  branch, running = likelihoods.init_variables(model.likelihood)
  return params | branch, statistics | running
