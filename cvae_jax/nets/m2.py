"""M2's networks, on pixels or on the latents of an M1 (Kingma et al. 2014)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.m1 import M1
from cvae_jax.nets.mlp import MLP
from cvae_jax.types import Metrics, PyTree

BRANCHES = ("classifier", "inference", "generator")


class M2(NamedTuple):
  """q(y | x), q(z | x, y) and p(x | z, y), each a branch of params."""

  classifier: MLP
  inference: MLP
  generator: MLP
  m1: M1 | None  # whose latents x are, or None: x are the pixels

  def init(self, key: Array, sizes: tuple[int, int, int]) -> PyTree:
    """Draw the branches; sizes are those of pixels, y and z."""
    pixels, y, z = (jnp.zeros((1, size)) for size in sizes)
    x = jnp.zeros((1, self.m1.latents)) if self.m1 else pixels
    inputs = {
      "classifier": (self.classifier, x),
      "inference": (self.inference, x, y),
      "generator": (self.generator, z, y),
    }
    if self.m1:
      inputs["encoder"] = (self.m1.encoder, pixels)
      inputs["decoder"] = (self.m1.decoder, x)
    return {
      name: net.init(jax.random.fold_in(key, i), *arrays)["params"]
      for i, (name, (net, *arrays)) in enumerate(inputs.items())
    }

  def classify(self, params: PyTree, x: Array, key=None) -> Array:
    """Return the logits [B, K] of q(y | x)."""
    variables = {"params": params["classifier"]}
    return self.classifier.apply(variables, x, None, key)["logits"]

  def infer(self, params: PyTree, x: Array, y: Array, key=None) -> Gaussian:
    """Return q(z | x, y); the leading axes of x and y broadcast."""
    variables = {"params": params["inference"]}
    return Gaussian(**self.inference.apply(variables, x, y, key))

  def generate(self, params: PyTree, z: Array, y: Array, key=None) -> Metrics:
    """Return the parameters of p(x | z, y): logits, or mean and logvar."""
    return self.generator.apply({"params": params["generator"]}, z, y, key)
