"""The network of a judge: strided convolutions for images of any size."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jax import Array

from cvae_jax.nets.layers import Conv, Dense, dropout

SMALLEST = 4  # side of the last map, at least


class Judge(nn.Module):
  """Outputs [B, K] of an image, one for each entry of a condition.

  A block has two convolutions, of which the first halves the map. Blocks
  follow as long as each side is at least 8, then a dense layer.
  """

  outputs: int  # K
  features: Sequence[
    int
  ]  # of each block; the last value serves all further blocks
  dense: int
  dropout: float  # before the dense layer and the outputs

  @nn.compact
  def __call__(self, image: Array, key: Array | None = None) -> Array:
    """Map [B, H, W, C] to [B, K]; without a key dropout is off."""
    # Centred: on a bright ground, colours would be small differences.
    x = 2.0 * image - 1.0
    block = 0
    while not block or min(x.shape[1:3]) >= 2 * SMALLEST:
      features = self.features[min(block, len(self.features) - 1)]
      for name, stride in (("down", 2), ("conv", 1)):
        conv = Conv(features, stride=stride, name=f"{name}_{block}")
        x = jax.nn.relu(conv(x))
      block += 1
    x = x.reshape(x.shape[0], -1)
    keys = [None, None] if key is None else jax.random.split(key)
    x = dropout(keys[0], x, self.dropout)
    x = jax.nn.relu(Dense(self.dense, name="dense")(x))
    x = dropout(keys[1], x, self.dropout)
    return Dense(self.outputs, name="heads")(x)
