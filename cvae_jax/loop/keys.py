"""Random keys as addresses: (seed, phase, step), so nothing is stored."""

import jax
from jax import Array

_PHASES = ("init", "train", "evaluate", "render", "sample")


def address(seed: int, phase: str) -> Array:
  """Return the key of a phase; steps and players are folded in later."""
  return jax.random.fold_in(jax.random.key(seed), _PHASES.index(phase))
