"""Arguments of an unknown batch size, to trace a function with."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import export

BATCH = "B"


def symbolic(shapes: Mapping[str, Sequence[int]]) -> list[jax.ShapeDtypeStruct]:
  """Return float32 arguments [B, …] of these shapes of one example."""
  (batch,) = export.symbolic_shape(BATCH)
  return [
    jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
    for shape in shapes.values()
  ]
