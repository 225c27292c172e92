"""The digit classifier of digits.md §7: valid convolutions, three dense."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jax import Array

from cvae_jax.nets.layers import Conv, Dense, dropout


class Classifier(nn.Module):
  """Logits of K classes from an image [B, H, W, C]."""

  features: Sequence[int]
  pool_after: Sequence[int]  # indices of convolutions followed by 2×2 pooling
  dense: Sequence[int]
  classes: int
  dropout: float = 0.25  # after each hidden dense layer
  slope: float = 0.06  # of the dense layers' leaky ReLU

  @nn.compact
  def __call__(self, image: Array, key: Array | None = None) -> Array:
    """Maps [B, H, W, C] to logits [B, K]; without a key dropout is off."""
    x = image
    for i, features in enumerate(self.features):
      x = jax.nn.relu(Conv(features, padding="VALID", name=f"conv_{i}")(x))
      if i in self.pool_after:
        x = nn.max_pool(x, (2, 2), (2, 2))
    x = x.reshape(x.shape[0], -1)
    for i, width in enumerate(self.dense):
      x = jax.nn.leaky_relu(Dense(width, name=f"dense_{i}")(x), self.slope)
      drop = None if key is None else jax.random.fold_in(key, i)
      x = dropout(drop, x, self.dropout)
    return Dense(self.classes, name="logits")(x)
