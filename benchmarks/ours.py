"""What this project's contenders share: a training step as the loop runs it.

The settings other than the default undo one thing each, to see what it gives:
lax_convolutions trains through XLA's own convolutions, threefry_dropout draws
its masks with jax.random. CVAE_JAX_TUNE=0 leaves the allocator alone.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cvae_jax import cpu

if "jax" not in sys.modules:
  cpu.tune()  # it may start the script anew

import jax
import numpy as np
from peers import timing

from cvae_jax import batches, config, keys, restore, train
from cvae_jax.feed import Feed
from cvae_jax.nets import conv, layers

SETTINGS = ["default", "lax_convolutions", "threefry_dropout"]


def undo(setting: str) -> None:
  """Takes one thing back that makes the step fast."""
  if setting == "lax_convolutions":
    conv.fast_on_cpu = lambda: False
  elif setting == "threefry_dropout":
    layers.hash_bits = lambda seeds, shape: jax.random.bits(
      jax.random.wrap_key_data(seeds), shape
    )


def run(arguments, settings, columns, parameters) -> None:
  """Trains the settings' system on columns, windows of steps on the clock."""
  undo(arguments.setting)
  settings.batch_size = arguments.batch
  system, feed = config.resolve(settings), Feed(columns)
  state = restore.fast_compiled(system.init)(keys.address(0, "init"))
  size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  assert size == parameters, size
  dispatch, key = train.make_dispatch(system), keys.address(0, "train")
  at = 0

  def step():
    nonlocal state, at
    rows = batches.rows_at(0, at, feed.rows, arguments.batch)
    table, rows = feed(rows[None])
    state, metrics = dispatch(state, table, rows, key, np.int32(at))
    at += 1
    return next(v for k, v in metrics.items() if k.endswith("/loss"))[0]

  timing.report("ours", jax.__version__, size, step, arguments)
