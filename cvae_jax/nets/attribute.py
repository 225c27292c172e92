"""The network that reads an attribute: valid convolutions, then dense layers.

It is the digits' classifier and, with other fields, each of the faces'
attribute models.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.nets.layers import Conv, Dense, dropout


class Attribute(nn.Module):
  """Logits of K classes, or the logit of a value, from an image."""

  features: Sequence[int]
  pool_after: Sequence[int]  # indices of convolutions followed by 2×2 pooling
  dense: Sequence[int]
  outputs: int  # K
  crop: Sequence[int] = ()  # top, bottom, left, right; () for the whole image
  given_after: Sequence[int] = ()  # indices of dense layers that `given` joins
  dropout: float = 0.25  # before each dense layer but the first
  slope: float = 0.06  # of the dense layers' leaky ReLU

  @nn.compact
  def __call__(
    self, image: Array, given: Array, key: Array | None = None
  ) -> Array:
    """Map [B, H, W, C] and other attributes [B, G] to logits [B, K].

    Without a key dropout is off.
    """
    _check("pool_after", self.pool_after, "features", self.features)
    _check("given_after", self.given_after, "dense", self.dense)
    x = image
    if self.crop:
      top, bottom, left, right = self.crop
      x = x[:, top:bottom, left:right]
    for i, features in enumerate(self.features):
      x = jax.nn.relu(Conv(features, padding="VALID", name=f"conv_{i}")(x))
      if i in self.pool_after:
        x = nn.max_pool(x, (2, 2), (2, 2))
    x = x.reshape(x.shape[0], -1)
    for i, width in enumerate(self.dense):
      x = jax.nn.leaky_relu(Dense(width, name=f"dense_{i}")(x), self.slope)
      if i in self.given_after:
        x = jnp.concatenate([x, given], axis=-1)
      drop = None if key is None else jax.random.fold_in(key, i)
      x = dropout(drop, x, self.dropout)
    return Dense(self.outputs, name="logits")(x)


def _check(
  key: str, after: Sequence[int], layers: str, sizes: Sequence[int]
) -> None:
  """Check that there is a layer for each index, so that none is ignored.

  Raises:
    ValueError: there is none.
  """
  if wrong := [i for i in after if i not in range(len(sizes))]:
    raise ValueError(
      f"model.{key}: found {wrong[0]}; expected indices of the {len(sizes)} "
      f"layers of model.{layers}, counted from 0"
    )
