"""The frame of a judge: one network that reads a condition in an image."""

from collections.abc import Callable
from typing import Any

from jax import Array

from cvae_jax.method import optim, update
from cvae_jax.types import Facts, LossFn, Metrics, Player, PyTree, System


def build(
  config,
  facts: Facts,
  branch: str,
  params: Callable[[Array], PyTree],
  loss: LossFn,
  evaluate: Callable[..., Metrics],
  **others: Any,
) -> System:
  """Return the system of one network and one player.

  Args:
    config: its `optim` is the player's.
    facts: of the data.
    branch: the network's name in params.
    params: its parameters, from a random key.
    loss: the player's.
    evaluate: the system's.
    others: fields of the system: predict, classify, notes.
  """
  players = {"model": Player(loss, optim.build(config.optim), owns=(branch,))}
  return System(
    init=lambda key: update.init_state(players, {branch: params(key)}),
    step=update.make_step(players),
    evaluate=evaluate,
    columns={"image": facts.image_shape, "condition": (facts.condition_size,)},
    schedules=optim.rates(config.optim),
    **others,
  )
