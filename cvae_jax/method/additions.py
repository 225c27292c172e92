"""Additions to a system's state, beside what its players keep there.

`adjustable` adds a factor of all learning rates, which a plateau lowers.
`average` adds a running mean of the parameters, which is evaluated in their
place.
"""

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.update import FACTOR
from cvae_jax.types import Batch, PyTree, System, TrainState

AVERAGE = "parameter_average"  # beside the players in an averaged state
# The functions of a system that read a state. They are given the average.
_READERS = (
  "evaluate",
  "render",
  "encode",
  "decode",
  "classify",
  "predict",
  "outputs",
  "posterior",
  "draw",
  "log_prior",
)


def adjustable(system: System) -> System:
  """Add a factor of all learning rates to its state, 1 until `set_factor`."""

  def init(key: Array) -> TrainState:
    state = system.init(key)
    factor = {FACTOR: jnp.ones((), jnp.float32)}
    return state.replace(opt_state=state.opt_state | factor)

  return system._replace(init=init)


def set_factor(state: TrainState, factor: float) -> TrainState:
  """Set the factor of an adjustable state; leave any other state unchanged.

  The new factor lies on the device of the old one, so nothing is compiled
  again.
  """
  if (old := state.opt_state.get(FACTOR)) is None:
    return state
  factor = {FACTOR: jnp.full_like(old, factor)}
  return state.replace(opt_state=state.opt_state | factor)


def average(system: System, decay: float, frozen: Iterable[str] = ()) -> System:
  """Return a system whose state holds a running mean of the parameters.

  After step t the mean moves by 1 − min(decay, (1 + t) / (10 + t)) towards
  the parameters, so that the first values are soon forgotten. Training uses
  the parameters. All functions that read a state use the mean.

  Args:
    system: it may be of any kind.
    decay: in [0, 1).
    frozen: branches that come from files and have no mean.
  """

  def init(key: Array) -> TrainState:
    state = system.init(key)
    params = {k: v for k, v in state.params.items() if k not in frozen}
    # A copy, since a step overwrites the buffers of both.
    mean = {AVERAGE: jax.tree.map(jnp.copy, params)}
    return state.replace(opt_state=state.opt_state | mean)

  def step(state: TrainState, batch: Batch, key: Array, at: Array):
    new, metrics = system.step(state, batch, key, at)
    t = new.step.astype(jnp.float32)
    share = 1.0 - jnp.minimum(decay, (1.0 + t) / (10.0 + t))
    share = jnp.where(new.step > state.step, share, 0.0)
    old = state.opt_state[AVERAGE]
    params = {name: new.params[name] for name in old}
    mean = jax.tree.map(lambda m, p: m + share * (p - m), old, params)
    return new.replace(opt_state={**new.opt_state, AVERAGE: mean}), metrics

  def read_average(function: Callable | None) -> Callable | None:
    if function is None:
      return None
    return lambda state, *rest: function(mean_state(state), *rest)

  readers = {name: read_average(getattr(system, name)) for name in _READERS}
  return system._replace(init=init, step=step, **readers)


def mean_state(state: TrainState) -> TrainState:
  """Return an averaged state with the mean as its parameters."""
  mean = state.opt_state.get(AVERAGE, {})
  return state.replace(params={**state.params, **mean})


def hand_out(state: TrainState) -> TrainState:
  """Return a state to use and not to train: the mean in the parameters' place.

  So whoever reads the parameters, and no function of the system, has the mean.
  """
  rest = {k: v for k, v in state.opt_state.items() if k != AVERAGE}
  return mean_state(state).replace(opt_state=rest)


def replace_params(state: TrainState, params: PyTree) -> TrainState:
  """Return a state of other parameters, which are its mean's too."""
  opt_state = state.opt_state
  if (mean := opt_state.get(AVERAGE)) is not None:
    mean = {name: jax.tree.map(jnp.array, params[name]) for name in mean}
    opt_state = {**opt_state, AVERAGE: mean}
  return state.replace(params=params, opt_state=opt_state)
