"""The only place that differentiates and applies updates."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.host import cpu
from cvae_jax.method.player_checks import check_loss
from cvae_jax.types import Batch, Metrics, Player, PyTree, TrainState

FACTOR = "learning_rate_factor"  # beside the players in an adjustable state


def init_state(
  players: Mapping[str, Player], params: PyTree, model_state: PyTree = None
) -> TrainState:
  """Build the state before the first update.

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
      name: player.tx.init(_select_owned(player, params))
      for name, player in players.items()
    },
  )


def make_step(
  players: Mapping[str, Player],
  simultaneous: bool = False,
  same_draws: bool = False,
) -> Callable[[TrainState, Batch, Array, Array], tuple[TrainState, Metrics]]:
  """Build (state, batch, key, at) -> (state, metrics), an update per player.

  The players move in order, and each sees the parameters that the players
  before it have changed. With `simultaneous` each sees the parameters before
  the step. With `same_draws` each has the same random key, so simultaneous
  players that make the same pass make it once: XLA merges equal operations.

  A player with `every` = n moves in every n-th step. In the other steps its
  part is not computed and its metrics are 0. Its metric `moves` is 1 where it
  moves and 0 elsewhere, so meter.Meter can average over its moves.

  A branch that no player owns is frozen. An entry of model_state with the name
  of a branch holds the branch's batch statistics and belongs to its owner:
  changes by other players are dropped. The rest of model_state goes through
  the players in order.

  A metric of a player may be not finite, its loss and its gradient's norm
  included. Then the step returns the state as it was, with its step number.
  `at` is the step that the batch was made for. A state at another step is
  returned as it was, too. So the steps that are already under way after a bad
  one change nothing, and the caller holds the state before the bad step.

  So nothing is stored until all players have computed their gradients. The
  parameters that a later player sees are computed for it, and once more where
  they are stored, which may differ in the last bit. Otherwise the old state
  would have to be copied first.

  Raises:
    ValueError: simultaneous players own the same branch, or rest.
  """
  if simultaneous:
    _check_apart(players)
  *_, last = players

  def step(state: TrainState, batch: Batch, key: Array, at: Array):
    key = jax.random.fold_in(key, at)
    seen = state
    metrics = {}
    moves = {}
    finite = state.step == at
    for index, (name, player) in enumerate(players.items()):
      own = batch, jax.random.fold_in(key, 0 if same_draws else index)
      moves[name], terms, ok = _compute_move(player, seen, *own)
      finite &= ok
      seen = seen.replace(model_state=moves[name].model_state)
      if not simultaneous and name != last:
        seen = _preview_move(name, player, moves[name], seen)
      metrics |= {f"{name}/{term}": value for term, value in terms.items()}
    new = _apply_moves(players, moves, state, finite)
    return new.replace(step=state.step + finite), metrics

  return step


def input_gradient(fn: Callable[[Array], Array], x: Array) -> Array:
  """Return the gradient [B, ...] of each fn(x)[b] with respect to x[b].

  It is for penalties on gradients: the loss that uses it is differentiated
  once more.

  Args:
    fn: maps x [B, ...] to [B], each entry from its own example alone (so no
      batch normalisation).
  """
  return jax.grad(lambda x: fn(x).sum())(x)


class _Move(NamedTuple):
  """What a player wants to change."""

  gradients: PyTree  # of the branches that it owns
  model_state: PyTree  # after its loss
  due: Array | bool = True  # whether it moves in this step


def _compute_move(player: Player, state: TrainState, batch, key):
  """Return a player's move, its metrics and whether they are all finite."""
  if player.every == 1:
    return _differentiate(player, state, batch, key)

  def compute(state, batch, key):
    move, *found = _differentiate(player, state, batch, key)
    return move.gradients, move.model_state, *found

  def skip(state, batch, key):
    return none, state.model_state, idle, jnp.array(True)

  compute = jax.jit(compute)  # eval_shape and cond then trace it only once
  none, _, idle, _ = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
    jax.eval_shape(compute, state, batch, key),
  )
  due = (state.step + 1) % player.every == 0
  *move, terms, ok = jax.lax.cond(due, compute, skip, state, batch, key)
  return _Move(*move, due), {**terms, "moves": due.astype(jnp.float32)}, ok


def _differentiate(player: Player, state: TrainState, batch, key):
  """Return a player's move, its metrics and whether they are all finite."""

  def loss(owned):
    params = {**state.params, **owned}
    found = player.loss(params, state.model_state, batch, key, state.step)
    return check_loss(found, state.model_state)

  (value, (terms, model_state)), gradients = jax.value_and_grad(
    loss, has_aux=True
  )(_select_owned(player, state.params))
  norm = optax.tree.norm(gradients)
  metrics = {"loss": value, **terms, "gradient_norm": norm}
  ok = jnp.array(True)  # meter.Meter stops at the same metrics
  for metric in metrics.values():
    ok &= jnp.isfinite(metric)
  others = state.params.keys() - set(player.owns)
  if isinstance(model_state, Mapping):
    kept = {k: state.model_state[k] for k in others & model_state.keys()}
    model_state = {**model_state, **kept}
  return _Move(gradients, model_state), metrics, ok


def _preview_move(name: str, player: Player, move: _Move, state: TrainState):
  """Return the state with the parameters that later players of a step see."""
  owned = _select_owned(player, state.params)
  updates, _ = player.tx.update(move.gradients, state.opt_state[name], owned)
  moved = optax.apply_updates(owned, _scale(updates, state))
  moved = jax.tree.map(functools.partial(jnp.where, move.due), moved, owned)
  return state.replace(params={**state.params, **moved})


def _apply_moves(
  players, moves, state: TrainState, finite: Array
) -> TrainState:
  """Update what the players own and their moments, if all moves are finite."""
  params = dict(state.params)
  opt_state = dict(state.opt_state)
  for name, player in players.items():
    # A cond and not a select: it updates the donated buffers in place. A select
    # made XLA:CPU copy every parameter and moment first (1.2 × a step's time).
    owned, opt_state[name] = jax.lax.cond(
      finite & moves[name].due,
      functools.partial(_update_owned, player, state, finite),
      lambda gradients, *kept: kept,
      moves[name].gradients,
      _select_owned(player, params),
      opt_state[name],
    )
    params |= owned
  *_, last = moves.values()  # its model_state has the others' changes
  model_state = jax.tree.map(
    functools.partial(jnp.where, finite), last.model_state, state.model_state
  )
  return state.replace(
    params=params, opt_state=opt_state, model_state=model_state
  )


def _update_owned(
  player: Player, state: TrainState, finite: Array, gradients, owned, opt_state
):
  """Return (parameters, the optimiser's state) after an update."""
  given = gradients, opt_state, owned
  updates, after = player.tx.update(*given)
  if jax.default_backend() == "cpu" and cpu.fuses_outputs():
    # XLA:CPU writes moments and parameters in one pass over them only if no
    # output is made from another one. So the parameters are updated by moments
    # that are computed a second time.
    updates, _ = player.tx.update(*_hide_from_xla(given, finite))
  return optax.apply_updates(owned, _scale(updates, state)), after


def _scale(updates: PyTree, state: TrainState) -> PyTree:
  """Return the updates times the state's learning rate factor, if any."""
  factor = state.opt_state.get(FACTOR)
  if factor is None:
    return updates
  return jax.tree.map(lambda update: factor * update, updates)


def _hide_from_xla(given: PyTree, finite: Array) -> PyTree:
  """Multiply floats by `finite`, which is 1, but XLA does not know that."""

  def hide(x: Array) -> Array:
    is_real = jnp.issubdtype(x.dtype, jnp.floating)
    return x * finite.astype(x.dtype) if is_real else x

  return jax.tree.map(hide, given)


def _check_apart(players: Mapping[str, Player]) -> None:
  if resting := [n for n, player in players.items() if player.every > 1]:
    raise ValueError(
      f"simultaneous players move in each step; {resting} would not"
    )
  owned = [branch for player in players.values() for branch in player.owns]
  if len(set(owned)) < len(owned):
    raise ValueError(
      f"simultaneous players must own different branches; they own {owned}"
    )


def _select_owned(player: Player, params: PyTree) -> PyTree:
  return {branch: params[branch] for branch in player.owns}
