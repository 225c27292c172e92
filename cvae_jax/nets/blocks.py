"""Convolution blocks with batch normalisation, and its running statistics.

A network's statistics are its collection "batch_stats", which a system keeps
in `model_state` under the name of the network's branch.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.nets import conv
from cvae_jax.types import PyTree

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
  "normal": nn.initializers.normal(0.02),
}
# Normalises by running statistics if its first field is true, else by the
# batch, which moves them; momentum and ε are Keras's.
Norm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)


def init(net: nn.Module, key: Array, *arrays: Array) -> tuple[PyTree, PyTree]:
  """Draws a network's parameters and gives its statistics at the start."""
  variables = net.init(key, *arrays)
  return variables["params"], variables.get("batch_stats", {})


def apply(
  net: nn.Module, params: PyTree, stats: PyTree, *arrays: Array, train=False
) -> tuple[PyTree, PyTree]:
  """Applies a network: (output, statistics after it).

  With `train` it normalises by the batch and moves the statistics; without,
  it normalises by the statistics, which stay.
  """
  variables = {"params": params, "batch_stats": stats}
  if not train:
    return net.apply(variables, *arrays), stats
  output, after = net.apply(
    variables, *arrays, train=True, mutable=["batch_stats"]
  )
  return output, after.get("batch_stats", stats)


class Block(nn.Module):
  """A convolution, then batch normalisation if asked, then an activation.

  `how` is same, valid, transposed (SAME, enlarging by the stride) or upsample
  (nearest ×2, then the convolution). An edge "replicate" repeats the border
  of an upsample's map instead of continuing it with zeros.
  """

  features: int
  kernel: int
  stride: int = 1
  how: str = "same"
  norm: bool = False
  bias: bool = True
  activation: str = "linear"
  slope: float = 0.0  # of a leaky activation
  initialiser: str = "glorot"
  edge: str = "zero"

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """Maps [B, H, W, C] to [B, H', W', features]."""
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param("kernel", INITIALISERS[self.initialiser], shape)
    bias = None
    if self.bias:
      bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if self.how == "transposed":
      x = conv.conv_transpose(x, kernel, self.stride, bias=bias)
    elif self.how == "upsample":
      x = upsampled(x, kernel, self.edge, bias)
    else:
      x = conv.conv(x, kernel, self.stride, self.how.upper(), bias=bias)
    if self.norm:
      x = Norm(not train, name="norm")(x)
    return ACTIVATIONS[self.activation](x, self.slope)


def upsampled(
  x: Array, kernel: Array, edge: str = "zero", bias: Array | None = None
) -> Array:
  """Doubles x [B, H, W, C] by nearest neighbour and convolves it, 3×3, SAME.

  The doubled map is never made: its rows come in equal pairs, so both steps
  are one transposed convolution of stride 2, whose 4×4 kernel sums the taps
  that fall on one pixel of x; 4 products of 4 taps instead of 4 of 9.
  """
  wide = kernel
  for axis in (0, 1):
    before, after = ([(0, 0)] * 4 for _ in range(2))
    before[axis], after[axis] = (1, 0), (0, 1)
    wide = jnp.pad(wide, before) + jnp.pad(wide, after)
  if edge == "zero":
    return conv.conv_transpose(x, wide, 2, bias=bias)
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
  return conv.conv_transpose(x, wide, 2, bias=bias)[:, 2:-2, 2:-2]
