"""What this project's contenders share: a training step as the loop runs it.

The settings other than the default undo one thing each, to see what it gives:

lax_convolutions   XLA's own gradients of convolutions
im2col_forward     windows and a matrix product on the way there, too
row_sums           bias gradients as XLA sums them
stored_sigmoids    jax.nn.silu
threefry_dropout   masks drawn with jax.random
default_flags      what XLA does unless cpu.py tells it otherwise
separate_moments   parameters made from new moments, so not in one loop
transposed_depth   depth-to-space's gradient as XLA transposes it
eigen, ynnpack     config.products
bfloat16           config.precision=bfloat16

CVAE_JAX_TUNE=0 leaves the allocator alone.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cvae_jax.host import cpu  # the only import from here that has no jax

if "jax" not in sys.modules:
  cpu.tune(restart=True)  # it may start the script anew
else:
  raise ImportError("jax was imported first, so XLA's flags cannot be set")

import jax
import numpy as np
from peers import timing

from cvae_jax import config
from cvae_jax.loop import arithmetic, batches, begin, keys
from cvae_jax.loop.dispatch import make_dispatch
from cvae_jax.loop.feed import Feed
from cvae_jax.nets import layers
from cvae_jax.nets.fast import conv, im2col, ops


def _im2col(x, kernel, bias, stride, pads):
  windows = im2col.patches(x, kernel.shape[0], stride, pads)
  taps = kernel.reshape(-1, kernel.shape[-1])
  return ops.add_bias(conv._matmul(windows, taps), bias)


PRODUCTS = ["eigen", "ynnpack"]
UNDO = {
  "lax_convolutions": lambda: setattr(ops, "fast_on_cpu", lambda: False),
  "im2col_forward": lambda: setattr(conv, "_conv", _im2col),
  "row_sums": lambda: setattr(
    ops, "column_sums", lambda x: x.reshape(-1, x.shape[-1]).sum(axis=0)
  ),
  "stored_sigmoids": lambda: layers.ACTIVATIONS.update(silu=jax.nn.silu),
  "threefry_dropout": lambda: setattr(
    layers,
    "hash_bits",
    lambda seeds, shape: jax.random.bits(
      jax.random.wrap_key_data(seeds), shape
    ),
  ),
  "default_flags": lambda: os.environ.pop("XLA_FLAGS", None),
  "separate_moments": lambda: setattr(cpu, "fuses_outputs", lambda: False),
  "transposed_depth": lambda: setattr(
    conv, "_depth_to_space", conv._depth_to_space.__wrapped__
  ),
}
BFLOAT16 = "bfloat16"
SETTINGS = ["default", *UNDO, *PRODUCTS, BFLOAT16]


def run(arguments, settings, columns, parameters) -> None:
  """Train the settings' system on columns, windows of steps on the clock."""
  UNDO.get(arguments.setting, lambda: None)()
  settings.batch_size = arguments.batch
  if arguments.setting in PRODUCTS:
    settings.products = arguments.setting
  if arguments.setting == BFLOAT16:
    settings.precision = BFLOAT16
  system, options = arithmetic.apply(settings, config.resolve(settings))
  feed = Feed(columns)
  state = begin.compile_fast(system.init)(keys.address(0, "init"))
  size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  assert size == parameters, size
  dispatch = make_dispatch(system, options=options)
  key = keys.address(0, "train")
  at = 0

  def step():
    nonlocal state, at
    rows = batches.rows_at(0, at, feed.rows, arguments.batch)
    table, rows = feed(rows[None])
    state, metrics = dispatch(state, table, rows, key, np.int32(at))
    at += 1
    return next(v for k, v in metrics.items() if k.endswith("/loss"))[0]

  timing.report("ours", jax.__version__, size, step, arguments)
