"""The compiled updates, and where the dispatches of a run begin and end."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cvae_jax.loop import keys, own_system
from cvae_jax.loop.feed import take
from cvae_jax.loop.job import Job
from cvae_jax.loop.mesh import ONE, Mesh
from cvae_jax.types import System, TrainState


def make_advance(job: Job) -> Callable:
  """Build (step, state) -> (step after, state, metrics): one dispatch."""
  mesh = job.mesh
  dispatch = make_dispatch(job.system, mesh, job.train.take, job.options)
  stride = job.stride
  key = mesh.key(lambda: keys.address(job.config.seed, "train"))

  def advance(start: int, state: TrainState):
    step = end_after(start, stride, job.steps)
    rows = np.stack([job.rows(at) for at in range(start, step)])
    with jax.transfer_guard("disallow"):
      table, rows = job.train(rows)
      at = mesh.replicate(np.int32(start))
      return step, *dispatch(state, table, rows, key, at)

  return advance


def make_dispatch(
  system: System,
  mesh: Mesh = ONE,
  take: Callable = take,
  options: Mapping[str, str] | None = None,
) -> Callable:
  """Compile (state, table, rows [K, B], key, at) -> (state, {name: [K]}).

  One call makes K updates. It overwrites the state that it is given.

  Args:
    system: its step is compiled.
    mesh: the devices that share a batch.
    take: takes a batch from the table.
    options: XLA's for this program; they prevail over XLA_FLAGS.
  """

  def one(state, rows_at, table, key):
    rows, at = rows_at
    found = system.step(state, take(table, rows), key, at)
    return own_system.check_step(found, state)

  def dispatch(state, table, rows, key, at):
    if rows.shape[0] == 1:  # within a loop, XLA:CPU does not use its threads
      state, metrics = one(state, (rows[0], at), table, key)
      return state, jax.tree.map(lambda value: value[None], metrics)
    steps = at + jnp.arange(rows.shape[0], dtype=at.dtype)
    return jax.lax.scan(
      lambda state, pair: one(state, pair, table, key), state, (rows, steps)
    )

  return mesh.jit(dispatch, donate_argnums=0, compiler_options=options)


def describe_programs(job: Job) -> dict[str, Any]:
  """Return the settings of a job that change the last bits of a run.

  A resumed run may have other values of them.
  """
  return {
    "mesh": job.mesh.size,
    "steps_per_dispatch": job.stride,
    "compiler_options": job.options,
  }


def end_after(step: int, stride: int, steps: int) -> int:
  """Return the step after which the dispatch that begins at `step` ends.

  Dispatches end at multiples of the stride; epochs, rows and checkpoints rely
  on it. From a state between two multiples, the first dispatch is shorter.
  """
  end = min(step + stride - step % stride, steps)
  assert step < end <= steps
  return end
