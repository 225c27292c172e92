"""Optimisers: the one place that reads config.optim."""

import optax

from cvae_jax.method import schedules


def build(
  optim, rate: optax.ScalarOrSchedule | None = None
) -> optax.GradientTransformation:
  """Build the optimiser that a config's group `optim` describes.

  It is Adam (Kingma and Ba 2015). With `weight_decay` it is AdamW (Loshchilov
  and Hutter 2019).

  Args:
    optim: the group. `lr` is the learning rate; with `decay` or `staircase`
      it falls (schedules.learning_rate). `b1` and `b2` are the decay rates of
      the two moments, `eps` is added to the root of the second one.
      `clip` bounds the norm of all gradients together; 0 leaves them alone.
      `weight_decay` shrinks the parameters by this share of the rate.
    rate: a learning rate to use instead of the group's.

  Raises:
    ValueError: `clip` or `weight_decay` is negative.
  """
  clip = optim.get("clip", 0.0)
  weight_decay = optim.get("weight_decay", 0.0)
  if min(clip, weight_decay) < 0.0:
    raise ValueError(
      "optim.clip and optim.weight_decay are 0 or more; found "
      f"{clip} and {weight_decay}"
    )
  moments = {
    "b1": optim.get("b1", 0.9),
    "b2": optim.get("b2", 0.999),
    "eps": optim.get("eps", 1e-8),
  }
  rate = schedules.learning_rate(optim) if rate is None else rate
  if weight_decay:
    tx = optax.adamw(rate, weight_decay=weight_decay, **moments)
  else:
    tx = optax.adam(rate, **moments)
  if clip:
    tx = optax.chain(optax.clip_by_global_norm(clip), tx)
  return tx
