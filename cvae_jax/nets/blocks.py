"""Convolution blocks with batch normalisation and its running statistics.

A network's statistics are its collection "batch_stats", which a system keeps
in `model_state` under the name of the network's branch.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import check, pick
from cvae_jax.nets.fast import conv

ACTIVATIONS = {
  "linear": lambda x, slope: x,
  "relu": lambda x, slope: jax.nn.relu(x),
  "leaky": jax.nn.leaky_relu,
  "sigmoid": lambda x, slope: jax.nn.sigmoid(x),
  "tanh": lambda x, slope: jnp.tanh(x),
}
INITIALISERS = {
  "glorot": nn.initializers.glorot_uniform(),
  "he": nn.initializers.he_normal(),
  # Keras's he_normal of a transposed convolution. Its kernel is [k, k, out, in]
  # but Keras reads it as [k, k, in, out], so the fan is that of the outputs.
  "he_transposed": nn.initializers.variance_scaling(
    2.0, "fan_out", "truncated_normal"
  ),
  "normal": nn.initializers.normal(0.02),
}
# If its first field is true, it normalises by the running statistics. Else it
# normalises by the batch, which moves them. Momentum and ε are Keras's.
Norm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)
# {name: (by running statistics?) -> a layer}. "batch_0.9" has PyTorch's
# constants. "layer" normalises all values of one example, with a scale for
# each channel.
NORMALISERS = {
  "batch": Norm,
  "batch_0.9": functools.partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5),
  "layer": lambda _, name: nn.LayerNorm(
    epsilon=1e-5, reduction_axes=(1, 2, 3), feature_axes=-1, name=name
  ),
}


class Block(nn.Module):
  """A convolution, then a normalisation if named, then an activation.

  `how` is same, valid, transposed (SAME, enlarging by the stride) or upsample
  (nearest ×2, then the convolution). An edge "replicate" repeats the border
  of an upsample's map instead of continuing it with zeros.
  """

  features: int
  kernel: int
  stride: int = 1
  how: str = "same"
  norm: str = ""  # of NORMALISERS
  bias: bool = True
  activation: str = "linear"
  slope: float = 0.0  # of a leaky activation
  initialiser: str = "glorot"
  edge: str = "zero"

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """Map [B, H, W, C] to [B, H', W', features]."""
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    drawn = pick(INITIALISERS, self.initialiser, "initialiser")
    kernel = self.param("kernel", drawn, shape)
    bias = None
    if self.bias:
      bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if self.how == "transposed":
      x = conv.conv_transpose(x, kernel, self.stride, bias=bias)
    elif self.how == "upsample":
      x = upsample(x, kernel, self.edge, bias)
    else:
      x = conv.conv(x, kernel, self.stride, self.how.upper(), bias=bias)
    if self.norm:
      x = pick(NORMALISERS, self.norm, "norm")(not train, name="norm")(x)
    return pick(ACTIVATIONS, self.activation, "activation")(x, self.slope)


def downsample(
  x: Array,
  features: Sequence[int],
  train: bool,
  *,
  norm: str,
  norm_first: bool = True,
  **how: Any,
) -> Array:
  """Apply leaky 4×4 convolutions of stride 2 and flatten: [B, D].

  They are submodules of the caller. A convolution that is normalised has no
  bias.
  """
  for i, width in enumerate(features):
    named = norm if i or norm_first else ""
    x = Block(
      width,
      kernel=4,
      stride=2,
      norm=named,
      bias=not named,
      activation="leaky",
      name=f"conv_{i}",
      **how,
    )(x, train)
  return x.reshape(x.shape[0], -1)


def upsample(
  x: Array, kernel: Array, edge: str = "zero", bias: Array | None = None
) -> Array:
  """Double x [B, H, W, C] by nearest neighbour and convolve it, 3×3, SAME.

  The doubled map is never computed. Its rows are equal in pairs, so both steps
  are one transposed convolution of stride 2. Its 4×4 kernel holds the sums of
  the taps that fall on the same pixel of x. That takes 4 products of 4 taps
  instead of 4 products of 9.
  """
  wide = kernel
  for axis in (0, 1):
    before, after = ([(0, 0)] * 4 for _ in range(2))
    before[axis], after[axis] = (1, 0), (0, 1)
    wide = jnp.pad(wide, before) + jnp.pad(wide, after)
  if check(("zero", "replicate"), edge, "edge") == "zero":
    return conv.conv_transpose(x, wide, 2, bias=bias)
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
  return conv.conv_transpose(x, wide, 2, bias=bias)[:, 2:-2, 2:-2]
