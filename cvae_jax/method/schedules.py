"""Learning rates and loss weights as functions of the traced step."""

import jax.numpy as jnp
import numpy as np
import optax


def inverse_time(init: float, decay: float) -> optax.Schedule:
  """Return init / (1 + decay · step), Keras's `decay` (digits.md §4)."""
  return lambda step: init / (1.0 + decay * step)


def delayed(weight: float, start: int) -> optax.Schedule:
  """Return 0 before step `start` and `weight` from it on."""
  return optax.join_schedules(
    [optax.constant_schedule(0.0), optax.constant_schedule(weight)], [start]
  )


def staircase(
  init: float, factor: float, floor: float, start: int, every: int
) -> optax.Schedule:
  """Hold init, then multiplies it by `factor` every `every` steps.

  The first drop is at step `start`. The floor is a stop, not a clamp: the
  rate freezes at the first value that is not above it, so just below. The
  values are the source's float32 recurrence to the last bit (faces §4).

  Raises:
    ValueError: factor is not in (0, 1) or the floor not above 0, so that it
      is never reached, or `every` is below 1.
  """
  if not 0.0 < factor < 1.0:
    raise ValueError(f"factor must be between 0 and 1, found {factor}")
  if floor <= 0.0 or every < 1:
    raise ValueError(
      f"expected a floor above 0 and every of 1 or more; found {floor}, {every}"
    )
  values = [np.float32(init)]
  while values[-1] > floor:
    values.append(np.float32(float(values[-1]) * factor))
  table = np.array(values, np.float32)

  def schedule(step):
    drops = jnp.maximum((step - start) // every + 1, 0)
    return jnp.asarray(table)[jnp.minimum(drops, len(table) - 1)]

  return schedule


def learning_rate(optim) -> optax.ScalarOrSchedule:
  """Build lr / (1 + decay · step), lr constant or, if set, a staircase.

  Without a decay it is lr itself, and the optimiser's state has no count.
  """
  if "decay" not in optim:
    return optim.lr
  shrink = inverse_time(1.0, optim.decay)
  if "staircase" not in optim:
    return lambda step: optim.lr * shrink(step)
  stairs = staircase(optim.lr, **optim.staircase)
  return lambda step: stairs(step) * shrink(step)
