"""Dropout of conditions: attributes are made unknown at random in training."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cvae_jax.types import Batch, System, TrainState

_STREAM = 1 << 20  # folded into a step's key; players use the first numbers


def attribute_masks(conditions: Any) -> np.ndarray:
  """Return masks [attributes, A]: 1 at an attribute's entries and known-bit.

  Raises:
    ValueError: the conditions have no known-bits.
  """
  if not getattr(conditions, "known_bits", False):
    raise ValueError(
      "data.condition_dropout needs conditions with known-bits: those of data "
      "source images, or of arrays with a value None; set it to 0"
    )
  found = np.zeros((len(conditions.asked), conditions.size), np.float32)
  for row, name in zip(found, conditions.asked, strict=True):
    row[conditions.columns(name)] = 1.0
    row[conditions.bit(name)] = 1.0
  return found


def drop_attributes(
  system: System, where: np.ndarray | Sequence, rate: float
) -> System:
  """Return a system whose steps see each attribute unknown at a rate.

  Args:
    system: of any kind.
    where: [attributes, A], see `attribute_masks`.
    rate: from 0 to below 1: how often each attribute of a row is dropped.

  Raises:
    ValueError: the rate is none.
  """
  if not 0.0 <= rate < 1.0:
    raise ValueError(
      f"data.condition_dropout is from 0 to below 1; found {rate}"
    )
  where = jnp.asarray(where)

  def step(state: TrainState, batch: Batch, key: Array, at: Array):
    condition = batch["condition"]
    drawn = jax.random.fold_in(jax.random.fold_in(key, at), _STREAM)
    shape = (len(condition), len(where))
    dropped = jax.random.bernoulli(drawn, rate, shape).astype(jnp.float32)
    kept = condition * (1.0 - dropped @ where)
    return system.step(state, {**batch, "condition": kept}, key, at)

  return system._replace(step=step)
