"""Learning rates and loss weights as functions of the traced step."""

from collections.abc import Mapping

import optax


def inverse_time(init: float, decay: float) -> optax.Schedule:
  """Gives init / (1 + decay · step), Keras's `decay` (digits.md §4)."""
  return lambda step: init / (1.0 + decay * step)


def delayed(weight: float, start: int) -> optax.Schedule:
  """Gives 0 before step `start` and `weight` from it on."""
  return optax.join_schedules(
    [optax.constant_schedule(0.0), optax.constant_schedule(weight)], [start]
  )


def drops(init: float, factors: Mapping[int, float]) -> optax.Schedule:
  """Multiplies init by factors[step] from each of those steps on."""
  return optax.piecewise_constant_schedule(init, dict(factors))
