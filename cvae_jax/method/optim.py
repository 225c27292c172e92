"""Optimisers: the one place that reads config.optim."""

import inspect

import optax

from cvae_jax.method import matrices, schedules
from cvae_jax.method.names import pick


def _sm3(learning_rate, momentum: float = 0.9):
  """Build optax's sm3, whose own rate cannot be a schedule."""
  return optax.chain(
    optax.scale_by_sm3(momentum), optax.scale_by_learning_rate(learning_rate)
  )


# The optimisers of optax that need only gradients and parameters.
_OPTAX = (
  "adabelief adadelta adagrad adam adamax adamw amsgrad lamb lion nadam "
  "nadamw novograd radam rmsprop sgd yogi"
).split()
_MAKE = {name: getattr(optax, name) for name in _OPTAX}
_MAKE |= {"muon": matrices.muon, "shampoo": matrices.shampoo, "sm3": _sm3}
NAMES = tuple(_MAKE)
# Keys of config.optim that are passed on if the optimiser knows them.
_OWN = ("b1", "b2", "eps", "momentum", "nesterov")
_ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}  # of Adam, where none is set


def build(
  optim, rate: optax.ScalarOrSchedule | None = None, every: int = 1
) -> optax.GradientTransformation:
  """Build the optimiser that a config's group `optim` describes.

  It is Adam (Kingma and Ba 2015) if no other is named. With `weight_decay` it
  is AdamW (Loshchilov and Hutter 2019).

  Args:
    optim: the group. `name` is that of a function of optax, or muon or
      shampoo of matrices.py: one of NAMES.
      `lr` is the learning rate and schedules.learning_rate says how it
      changes. `b1`, `b2`, `eps` and `momentum` are passed to optimisers that
      have such a parameter. `clip` is the largest norm of all gradients
      together; with 0 they are not clipped. `weight_decay` w subtracts
      rate × w × the parameters in each update. If optax's optimiser has no
      decay of its own, w × the parameters is added to the gradients instead;
      nadam, rmsprop and the like then divide it by the gradients' size.
      `accumulate` averages the gradients of so many batches for one update.
      Schedules still count steps, that is batches.
    rate: a learning rate to use instead of the group's.
    every: n, of a player that moves in every n-th step only (types.Player).

  Raises:
    ValueError: a number is out of its range, or there is no such optimiser.
  """
  for key, least in (("clip", 0.0), ("weight_decay", 0.0), ("accumulate", 1)):
    if (value := optim.get(key, least)) < least:
      raise ValueError(f"optim.{key} is {least:g} or more; found {value}")
  tx = _build_named(optim, _rate(optim, rate, every))
  if clip := optim.get("clip", 0.0):
    tx = optax.chain(optax.clip_by_global_norm(clip), tx)
  batches = optim.get("accumulate", 1)
  if batches > 1:
    tx = optax.MultiSteps(tx, batches).gradient_transformation()
  return tx


def _rate(optim, rate, every: int) -> optax.ScalarOrSchedule:
  """Return the rate as a function of the optimiser's count of updates.

  A player that rests, or one with `accumulate`, makes one update for several
  steps, in the last of them.
  """
  if rate is None:
    rate = schedules.learning_rate(optim)
  elif not callable(rate):
    rate = schedules.learning_rate(optim, rate)
  steps = every * optim.get("accumulate", 1)
  if steps == 1 or not callable(rate):
    return rate
  return lambda count: rate(steps * (count + 1) - 1)


def _build_named(optim, rate) -> optax.GradientTransformation:
  """Return optax's optimiser with the keys of the group that it knows."""
  name = optim.get("name", "adam")
  decay = optim.get("weight_decay", 0.0)
  if name == "adam" and decay:
    name = "adamw"
  make = pick(_MAKE, name, "optim.name")
  known = inspect.signature(make).parameters
  given = {key: optim[key] for key in _OWN if key in optim and key in known}
  if name in ("adam", "adamw"):
    given = _ADAM | given
  if optim.get("momentum", 0.0) and "momentum" not in known:
    raise ValueError(
      f"optim.momentum={optim['momentum']} has no use with optim.name={name}; "
      "of the optimisers, "
      f"{', '.join(n for n in NAMES if _has_momentum(n))} have it"
    )
  if given.get("momentum") == 0 and name != "sm3":
    del given["momentum"]  # no trace is kept; of muon it is the usual one
  if "weight_decay" in known:
    return make(rate, weight_decay=decay, **given)
  tx = make(rate, **given)
  if decay:
    tx = optax.chain(optax.add_decayed_weights(decay), tx)
  return tx


def _has_momentum(name: str) -> bool:
  return "momentum" in inspect.signature(_MAKE[name]).parameters


def rates(optim) -> dict[str, optax.ScalarOrSchedule]:
  """Return {"learning_rate": a number, or a function of the step} of lr."""
  return {"learning_rate": schedules.learning_rate(optim)}


def list_beyond_adam(optim) -> list[str]:
  """List the settings of the group that plain Adam does not have."""
  plain = {"name": "adam", "clip": 0.0, "weight_decay": 0.0, "accumulate": 1}
  return [
    f"optim.{key}={optim[key]}"
    for key, value in plain.items()
    if optim.get(key, value) != value
  ]
