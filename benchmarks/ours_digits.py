"""Time this project's digits training step as the loop runs it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cvae_jax import cpu

if __name__ == "__main__":
  cpu.tune()

import jax
import numpy as np
from peers import timing

from cvae_jax import batches, config, keys, restore, train
from cvae_jax.feed import Feed


def main() -> None:
  """Trains on random digits, windows of steps on the clock."""
  arguments = timing.parse_arguments(["default"])
  images, conditions = timing.random_digits()
  settings = config.load(
    "configs/digits.py:model=4,full",
    {"batch_size": arguments.batch, "loss.grey_start": 0},
  )
  system = config.resolve(settings)
  feed = Feed({"image": images[..., None], "condition": conditions})
  state = restore.fast_compiled(system.init)(keys.address(0, "init"))
  size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  dispatch, key = train.make_dispatch(system), keys.address(0, "train")
  at = 0

  def step():
    nonlocal state, at
    rows = batches.rows_at(0, at, feed.rows, arguments.batch)
    table, rows = feed(rows[None])
    state, metrics = dispatch(state, table, rows, key, np.int32(at))
    at += 1
    return metrics["model/loss"][0]

  timing.report("cvae_jax", jax.__version__, size, step, arguments)


if __name__ == "__main__":
  main()
