"""Learning rates and loss weights as functions of the traced step."""

import jax.numpy as jnp
import numpy as np
import optax

from cvae_jax.method.names import pick


def inverse_time(init: float, decay: float) -> optax.Schedule:
  """Return init / (1 + decay · step), Keras's `decay`."""
  return lambda step: init / (1.0 + decay * step)


def delayed_weight(weight: float, start: int) -> optax.Schedule:
  """Return 0 before step `start` and `weight` from it on."""
  return optax.join_schedules(
    [optax.constant_schedule(0.0), optax.constant_schedule(weight)], [start]
  )


def staircase(
  init: float, factor: float, floor: float, start: int, every: int
) -> optax.Schedule:
  """Keep init, then multiply it by `factor` every `every` steps.

  The first drop is at step `start`. The rate stops at the first value that is
  not above the floor, so it may lie just below. The values are those of the
  source's float32 recurrence, to the last bit.

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


STAGES = 8  # of Burda et al. 2016: stage i is 3^i long


def learning_rate(optim, init: float | None = None) -> optax.ScalarOrSchedule:
  """Build the learning rate of a config.optim, as a function of the step.

  It is lr / (1 + decay · step), where lr is constant or a staircase, times
  the factors of `schedule` and `warmup`. Without any of these it is the number
  lr, and the optimiser's state has no count.

  Args:
    optim: the group. `schedule` is one of SHAPES, "" for none; `steps` is how
      long it takes and `final` the share of lr at its end. `warmup` is the
      number of steps in which the rate rises from nearly 0 to its full value.
    init: a learning rate to use instead of `lr`.

  Raises:
    ValueError: a shape is unknown, or lacks its `steps`.
  """
  init = optim.lr if init is None else init
  share = _share(optim)
  if "decay" not in optim:
    return init if share is None else lambda step: init * share(step)
  shrink = inverse_time(1.0, optim.decay)
  if "staircase" in optim:
    stairs = staircase(init, **optim.staircase)
    rate = lambda step: stairs(step) * shrink(step)  # noqa: E731
  else:
    rate = lambda step: init * shrink(step)  # noqa: E731
  return rate if share is None else lambda step: rate(step) * share(step)


def _constant(part, final):
  return jnp.ones_like(part)


def _cosine(part, final):
  return final + (1.0 - final) * 0.5 * (1.0 + jnp.cos(jnp.pi * part))


def _linear(part, final):
  return 1.0 + (final - 1.0) * part


def _exponential(part, final):
  return final**part


def _stages(part, final):
  """Fall to `final` by seven equal factors, after 1, 4, 13 … of 3,280 parts."""
  ends = jnp.array([(3**i - 1) / 2 for i in range(1, STAGES)], jnp.float32)
  passes = part * ((3**STAGES - 1) / 2) + 1e-3  # float32 falls short of ends
  stage = jnp.sum(passes >= ends)
  return final ** (stage / (STAGES - 1))


SHAPES = {
  "constant": _constant,
  "cosine": _cosine,
  "linear": _linear,
  "exponential": _exponential,
  "stages": _stages,
}


def _share(optim) -> optax.Schedule | None:
  """Return the factor of `schedule` and `warmup`, None if there is none."""
  name = optim.get("schedule", "")
  warmup = optim.get("warmup", 0)
  steps = optim.get("steps", 0)
  final = optim.get("final", 0.0)
  if not name and not warmup:
    return None
  shape = pick(SHAPES, name or "constant", "optim.schedule")
  if shape is not _constant and steps < 1:
    raise ValueError(
      f"optim.schedule={name} ends after optim.steps; found {steps}: give the "
      "steps of the whole training, epochs × (rows // batch_size)"
    )
  if final <= 0.0 and shape in (_exponential, _stages):
    raise ValueError(
      f"optim.schedule={name} falls to optim.final × lr, above 0; found {final}"
    )

  def share(step):
    part = jnp.clip(step / max(steps, 1), 0.0, 1.0)
    rising = jnp.minimum(1.0, (step + 1) / warmup) if warmup else 1.0
    return rising * shape(part, final)

  return share
