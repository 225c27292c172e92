"""Choose how many updates a dispatch makes, if the config leaves it open."""

import math

import jax
from ml_collections import ConfigDict

from cvae_jax.config import ConfigError
from cvae_jax.types import System

MOST = 16  # updates in a dispatch: a signal waits for its end
_SMALL = 5e7  # operations of a step of half a millisecond or less


def choose(config: ConfigDict, system: System, epoch_steps: int) -> int:
  """Return config.steps_per_dispatch, or choose it if it is 0.

  A dispatch takes a few tenths of a millisecond. That matters only if the steps
  are as short, as those of small networks of dense layers. XLA runs such steps
  in a loop, with the same bits as result. Convolutions are left out, since XLA
  runs them on one thread within a loop. The choice is a rule and not a
  measurement, so it does not depend on the load of the machine. Epochs, rows
  and checkpoints still end a dispatch.

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
  # Two operations for each weight forward, and four for the gradients.
  work = 6 * config.batch_size * sum(leaf.size for leaf in leaves)
  if not dense or work > _SMALL:
    return 1
  whole = math.gcd(epoch_steps, config.log_every, config.checkpoint_every)
  return max(n for n in range(1, MOST + 1) if whole % n == 0)


def _check(stride: int, config: ConfigDict, epoch_steps: int) -> int:
  keys = ("log_every", "checkpoint_every")
  ends = {f"{key}={config[key]}": config[key] for key in keys}
  ends[f"an epoch of {epoch_steps} steps"] = epoch_steps
  for said, steps in ends.items():
    if steps % stride:
      whole = math.gcd(*ends.values())
      fits = max(n for n in range(1, stride + 1) if whole % n == 0)
      raise ConfigError(
        f"{said} must be a multiple of steps_per_dispatch={stride}; "
        f"{fits} fits, and 0 chooses a number that does"
      )
  return stride
