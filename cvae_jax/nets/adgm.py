"""The networks of ADGM and SDGM, each a branch of params (Maaløe et al. 2016).

Labels may stand on an axis of their own: x and a are [B, 1, ·], y is
[B or 1, K, ·] and what depends on both [B, K, ·].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.mlp import MLP
from cvae_jax.types import PyTree


class ADGM(NamedTuple):
  """q(a | x), q(y | a, x), q(z | a, x, y), p(a | ·) and p(x | ·).

  ADGM has p(a | x, y, z) and p(x | y, z). With `skip` it is SDGM, which has
  p(a | y, z) and p(x | a, y, z).
  """

  auxiliary: MLP
  classifier: MLP
  inference: MLP
  partner: MLP  # p(a | ·)
  generator: MLP
  skip: bool

  def init(self, key: Array, sizes: tuple[int, int, int, int]) -> PyTree:
    """Draw the branches; sizes are those of pixels, y, a and z."""
    x, y, a, z = (jnp.zeros((1, size)) for size in sizes)
    inputs = {
      "auxiliary": (x,),
      "classifier": (x, a),
      "inference": (x, jnp.concatenate([a, y], axis=-1)),
      "partner": self._partner(x, y, z),
      "generator": self._generator(y, z, a),
    }
    return {
      name: getattr(self, name).init(jax.random.fold_in(key, i), *arrays)[
        "params"
      ]
      for i, (name, arrays) in enumerate(inputs.items())
    }

  def encode_auxiliary(self, params: PyTree, x: Array, key=None) -> Gaussian:
    """Return q(a | x)."""
    return Gaussian(**self._apply(params, "auxiliary", x, None, key))

  def classify(self, params: PyTree, x: Array, a: Array, key=None) -> Array:
    """Return the logits of q(y | a, x)."""
    return self._apply(params, "classifier", x, a, key)["logits"]

  def infer(self, params: PyTree, x, a, y, key=None) -> Gaussian:
    """Return q(z | a, x, y)."""
    return Gaussian(
      **self._apply(params, "inference", x, concatenate(a, y), key)
    )

  def decode_auxiliary(self, params: PyTree, x, y, z) -> Gaussian:
    """Return p(a | x, y, z); for SDGM p(a | y, z)."""
    return Gaussian(**self._apply(params, "partner", *self._partner(x, y, z)))

  def generate(self, params: PyTree, y, z, a) -> Array:
    """Return the logits of p(x | y, z); for SDGM of p(x | a, y, z)."""
    inputs = self._generator(y, z, a)
    return self._apply(params, "generator", *inputs)["logits"]

  def _partner(self, x, y, z) -> tuple[Array, Array]:
    return (z, y) if self.skip else (x, concatenate(y, z))

  def _generator(self, y, z, a) -> tuple[Array, Array]:
    return (concatenate(y, z), a) if self.skip else (z, y)

  def _apply(self, params: PyTree, name: str, *inputs) -> dict[str, Array]:
    return getattr(self, name).apply({"params": params[name]}, *inputs)


def concatenate(*arrays: Array) -> Array:
  """Concatenate arrays [..., ·] whose leading axes broadcast."""
  lead = jnp.broadcast_shapes(*(array.shape[:-1] for array in arrays))
  wide = [jnp.broadcast_to(a, (*lead, a.shape[-1])) for a in arrays]
  return jnp.concatenate(wide, axis=-1)
