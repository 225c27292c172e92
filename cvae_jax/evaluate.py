"""Exact means over a split: every example counts once."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cvae_jax import batches, feed
from cvae_jax.types import Batch, Metrics, TrainState

# (state, batch, key) -> {name: [B]}
PerExample = Callable[[TrainState, Batch, jax.Array], Metrics]


def make_mean(per_example: PerExample) -> Callable[..., dict[str, float]]:
  """Builds (state, feed, batch_size, key) -> {name: mean}, compiled once.

  The last batch is padded and the padding masked out, so the mean is over
  the examples and not over batches.
  """

  @jax.jit
  def masked_sums(state, table, rows, mask, key):
    values = per_example(state, feed.take(table, rows), key)
    return {k: jnp.where(mask, v, 0.0).sum() for k, v in values.items()}

  def mean(state, source: feed.Feed, batch_size: int, key):
    sums: list[Mapping] = []
    for i, (rows, mask) in enumerate(batches.padded(source.rows, batch_size)):
      table, rows = source(rows)
      sums.append(
        masked_sums(state, table, rows, mask, jax.random.fold_in(key, i))
      )
    return {
      name: float(np.sum([float(s[name]) for s in sums]) / source.rows)
      for name in sums[0]
    }

  return mean
