"""How many updates one dispatch makes, where the config leaves it open."""

import math

import jax
from ml_collections import ConfigDict

from cvae_jax.config import ConfigError
from cvae_jax.types import System

MOST = 16  # updates of a dispatch: a signal waits for its end
_SMALL = 5e7  # operations of a step that takes half a millisecond or less


def choose(config: ConfigDict, system: System, epoch_steps: int) -> int:
  """Return config.steps_per_dispatch, or the choice where it is 0.

  A dispatch costs a few tenths of a millisecond, which only shows beside a
  step that is as short: of a network of dense layers, small enough. XLA runs
  such steps in a loop to the same bits. A loop costs convolutions their
  threads. The choice is a rule and no measurement, so it does not depend on
  what else the machine does; ends of epochs, rows and checkpoints stay ends of
  dispatches.

  Args:
    config: the run's.
    system: its method.
    epoch_steps: steps of an epoch.

  Raises:
    ConfigError: it is negative, or rows, checkpoints or epochs would end
      within a dispatch.
  """
  given = config.steps_per_dispatch
  if given < 0:
    raise ConfigError(
      f"found steps_per_dispatch={given}; expected 1 or more, or 0 for a "
      "number that fits the network"
    )
  if given:
    return _check(given, config, epoch_steps)
  state = jax.eval_shape(system.init, jax.random.key(0))
  leaves = jax.tree.leaves(state.params)
  dense = all(leaf.ndim <= 2 for leaf in leaves)
  # Two operations a weight forward, and four for the gradients.
  work = 6 * config.batch_size * sum(leaf.size for leaf in leaves)
  if not dense or work > _SMALL:
    return 1
  whole = math.gcd(epoch_steps, config.log_every, config.checkpoint_every)
  return max(n for n in range(1, MOST + 1) if whole % n == 0)


def _check(stride: int, config: ConfigDict, epoch_steps: int) -> int:
  for name in ("log_every", "checkpoint_every"):
    if config[name] % stride:
      raise ConfigError(
        f"{name}={config[name]} must be a multiple of steps_per_dispatch="
        f"{stride}"
      )
  if epoch_steps % stride:
    raise ConfigError(
      f"steps_per_dispatch={stride} must divide the {epoch_steps} steps of an "
      "epoch"
    )
  return stride
