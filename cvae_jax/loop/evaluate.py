"""Evaluate a state: exact means over a split, and sample grids."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cvae_jax.loop import batches, distances, feed, keys
from cvae_jax.loop.job import Job
from cvae_jax.loop.mesh import Mesh
from cvae_jax.types import Batch, Masked, Metrics, TrainState

SHOWN = 10  # held-out rows of which the pictures are, spread over all
# (state, batch, key) -> {name: [B], or a Masked}
PerExample = Callable[[TrainState, Batch, jax.Array], Metrics]


def make_mean(per_example: PerExample) -> Callable[..., dict[str, float]]:
  """Build (state, feed, batch_size, key) -> {name: mean}, compiled once.

  The last batch is padded and the padding masked out, so the mean is over the
  examples and not over batches. A metric that some rows do not have (a
  types.Masked) is averaged over the rows that have it. If no row has it, the
  metric is absent.
  """

  @functools.cache
  def compile_sums(mesh: Mesh, take: Callable) -> Callable:
    def masked_sums(state, table, rows, mask, key):
      values = per_example(state, take(table, rows), key)
      return {name: _sum_rows(v, mask) for name, v in values.items()}

    return mesh.jit(masked_sums)

  def mean(state, source: feed.Feed, batch_size: int, key):
    masked_sums = compile_sums(source.mesh, source.take)
    sums: list[Mapping] = []
    devices = source.mesh.size
    whole = -(-batch_size // devices) * devices  # as many rows on each
    for i, (rows, mask) in enumerate(
      batches.padded_batches(source.rows, whole)
    ):
      table, rows = source(rows)
      sums.append(
        masked_sums(state, table, rows, mask, jax.random.fold_in(key, i))
      )
    means = {}
    for name in sums[0]:
      parts = np.array([s[name] for s in sums], np.float64)
      total, count = parts.sum(axis=0)
      if count:
        means[name] = float(total / count)
    return means

  return mean


def _sum_rows(metric: Array | Masked, mask: Array) -> tuple[Array, Array]:
  """Return the sum of a metric [B] over rows that have it, and their number."""
  if isinstance(metric, Masked):
    mask &= metric.known > 0
    metric = metric.value
  return jnp.where(mask, metric, 0.0).sum(), mask.sum()


def make_assessment(
  job: Job, mean: Callable[..., dict[str, float]]
) -> Callable[[TrainState], tuple[dict, dict]]:
  """Build (state) -> (means over the watched split, sample grids).

  Every call uses the same noise and the same examples, so that grids of
  different epochs are comparable. The means hold the distances of samples, if
  config.distance asks for them.

  Args:
    job: of the run.
    mean: make_mean of the job's system.
  """
  measure = None
  if distances.names(job.config):
    measure = distances.make(job.config, job.system, job.watched)
  render = job.system.render and job.mesh.jit(job.system.render)
  seed = job.config.seed
  shown = job.watched or job.train
  noise, style = (keys.address(seed, phase) for phase in ("evaluate", "render"))

  def assess(state):
    means = {}
    grids = {}
    if job.watched:
      means = mean(state, job.watched, job.config.batch_size, noise)
    if measure:
      means |= measure(state)
    if render:
      batch = feed.take(*shown(batches.spread(shown.rows, SHOWN)))
      grids = render(state, batch, job.conditions.panel(), style)
    return means, grids

  return assess


def make_final(
  job: Job, mean: Callable[..., dict[str, float]]
) -> Callable[[TrainState], dict[str, float]]:
  """Build (state) -> means over the test split, if another split is watched."""
  noise = keys.address(job.config.seed, "evaluate")

  def final(state):
    if job.valid is None or job.test is None:
      return {}
    return mean(state, job.test, job.config.batch_size, noise)

  return final
