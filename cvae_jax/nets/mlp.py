"""Multilayer perceptrons: every network of the zoo's digit systems."""

import itertools
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import pick
from cvae_jax.nets.fast import ops
from cvae_jax.nets.layers import ACTIVATIONS, dropout

INITIALISERS = {
  "he_normal": nn.initializers.he_normal(),
  "glorot_uniform": nn.initializers.glorot_uniform(),
  "normal": nn.initializers.normal(0.01),
}


def flat(image: Array) -> Array:
  """Lay images [B, H, W, C] out as rows [B, D]; uint8 ones in [0, 1]."""
  scale = 1.0 / 255.0 if image.dtype == jnp.uint8 else 1.0
  return image.reshape(image.shape[0], -1).astype(jnp.float32) * scale


def binary(key: Array, means: Array) -> Array:
  """Draw pixels, 0 or 1, from their means in [0, 1]."""
  return jax.random.bernoulli(key, means).astype(means.dtype)


class Joint(nn.Module):
  """A dense layer on several inputs, as if they were concatenated.

  Their leading axes broadcast. An input that is the same for all labels is
  multiplied once, and a one-hot label picks its row of the kernel.
  """

  features: int
  initialiser: str

  @nn.compact
  def __call__(self, *inputs: Array) -> Array:
    """Map inputs [..., D_i] to [..., features]."""
    *starts, size = itertools.accumulate(x.shape[-1] for x in inputs)
    shape = (size, self.features)
    drawn = pick(INITIALISERS, self.initialiser, "initialiser")
    kernel = self.param("kernel", drawn, shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    parts = jnp.split(kernel, starts)
    pairs = zip(inputs, parts, strict=True)
    y = sum(ops.product(x, part) for x, part in pairs)
    return ops.add_bias(y, bias)


class MLP(nn.Module):
  """Dense layers, each followed by the activation and dropout, then heads.

  The condition, if there is one, is an input beside x.
  """

  widths: Sequence[int]
  heads: Mapping[str, int]  # {name: features}
  activation: str = "relu"
  dropout: float = 0.0
  input_dropout: float = 0.0  # of x, not of the condition
  initialiser: str = "he_normal"
  head_initialiser: str = "glorot_uniform"

  @nn.compact
  def __call__(
    self, x: Array, condition: Array | None = None, key: Array | None = None
  ) -> dict[str, Array]:
    """Map [..., D] and [..., A] to {head: [..., features]}.

    The leading axes of the two broadcast. Without a key dropout is off.
    """
    act = pick(ACTIVATIONS, self.activation, "activation")
    drop = None if key is None else jax.random.fold_in(key, len(self.widths))
    x = dropout(drop, x, self.input_dropout)
    joined = condition is not None and condition.shape[-1]
    inputs = (x, condition) if joined else (x,)
    for i, width in enumerate(self.widths):
      layer = Joint(width, self.initialiser, name=f"dense_{i}")
      drop = None if key is None else jax.random.fold_in(key, i)
      x = act(layer(*inputs))
      inputs = (dropout(drop, x, self.dropout),)
    return {
      name: Joint(features, self.head_initialiser, name=name)(*inputs)
      for name, features in self.heads.items()
    }
