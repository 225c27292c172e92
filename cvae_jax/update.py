"""The only place that differentiates and applies updates."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState

FACTOR = "learning_rate_factor"  # beside the players in an adjustable state


def init_state(
  players: Mapping[str, Player], params: PyTree, model_state: PyTree = None
) -> TrainState:
  """Builds the state before the first update.

  Raises:
    ValueError: a player owns a branch that params does not have.
  """
  for name, player in players.items():
    if missing := set(player.owns) - set(params):
      raise ValueError(
        f"player {name!r} owns {sorted(missing)}, but the branches of params "
        f"are {sorted(params)}"
      )
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    model_state={} if model_state is None else model_state,
    opt_state={
      name: player.tx.init(_owned(player, params))
      for name, player in players.items()
    },
  )


def make_step(
  players: Mapping[str, Player],
) -> Callable[[TrainState, Batch, Array, Array], tuple[TrainState, Metrics]]:
  """Builds (state, batch, key, at) -> (state, metrics), an update per player.

  The players move in order, so each sees what the ones before it did. A
  branch that nobody owns is frozen.

  Where one of a player's metrics, its loss and gradient norm among them, is
  not finite the state comes back as it was, its step too. `at` is the step
  that the batch was made for, and a state at another step also comes back as
  it was: so after a bad step the later ones, already under way, change
  nothing, and what the caller holds is the state before the bad step.
  """

  def step(state: TrainState, batch: Batch, key: Array, at: Array):
    key = jax.random.fold_in(key, at)
    new, metrics, finite = state, {}, state.step == at
    for index, (name, player) in enumerate(players.items()):
      new, terms, ok = _move(
        name, player, new, batch, jax.random.fold_in(key, index), finite
      )
      finite &= ok
      metrics |= {f"{name}/{term}": value for term, value in terms.items()}
    if len(players) > 1:  # an earlier player may have moved already
      new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
    return new.replace(step=state.step + finite), metrics

  return step


def adjustable(system: System) -> System:
  """Gives its state a factor of all learning rates, 1 until `scaled`."""

  def init(key: Array) -> TrainState:
    state = system.init(key)
    factor = {FACTOR: jnp.ones((), jnp.float32)}
    return state.replace(opt_state=state.opt_state | factor)

  return system._replace(init=init)


def scaled(state: TrainState, factor: float) -> TrainState:
  """Sets the factor of an adjustable state, another state comes as it is.

  It is a value on the old one's device, so nothing is compiled anew.
  """
  if (old := state.opt_state.get(FACTOR)) is None:
    return state
  factor = {FACTOR: jnp.full_like(old, factor)}
  return state.replace(opt_state=state.opt_state | factor)


def _move(name, player: Player, state: TrainState, batch, key, finite):
  """Differentiates one player's loss and updates the branches it owns."""

  def loss(owned):
    params = {**state.params, **owned}
    return player.loss(params, state.model_state, batch, key, state.step)

  owned, opt_state = _owned(player, state.params), state.opt_state[name]
  (value, (terms, model_state)), grads = jax.value_and_grad(loss, has_aux=True)(
    owned
  )
  norm = optax.tree.norm(grads)
  metrics = {"loss": value, **terms, "gradient_norm": norm}
  ok = finite  # what meter.Meter stops at, so that both mean the same step
  for metric in metrics.values():
    ok &= jnp.isfinite(metric)

  def apply(owned, opt_state, _):
    updates, opt_state = player.tx.update(grads, opt_state, owned)
    if (factor := state.opt_state.get(FACTOR)) is not None:
      updates = jax.tree.map(lambda update: factor * update, updates)
    return optax.apply_updates(owned, updates), opt_state, model_state

  # A branch, not a select: it updates the donated buffers in place, where a
  # select made XLA:CPU copy every parameter and moment first (1.2x a step).
  owned, opt_state, model_state = jax.lax.cond(
    ok, apply, lambda *kept: kept, owned, opt_state, state.model_state
  )
  state = state.replace(
    params={**state.params, **owned},
    opt_state={**state.opt_state, name: opt_state},
    model_state=model_state,
  )
  return state, metrics, ok


def _owned(player: Player, params: PyTree) -> PyTree:
  return {branch: params[branch] for branch in player.owns}
