"""Evaluate a state: exact means over a split, and sample grids."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from cvae_jax.loop import batches, distances, feed, keys
from cvae_jax.loop.job import Job
from cvae_jax.loop.mesh import Mesh
from cvae_jax.types import Batch, Masked, Metrics, TrainState

SHOWN = 10  # held-out rows of which the pictures are, spread over all
# (state, batch, key) -> {name: [B], or a Masked}
PerExample = Callable[[TrainState, Batch, jax.Array], Metrics]


class Estimate(NamedTuple):
  """The mean of a metric over rows, and how exactly they tell it."""

  mean: float
  error: float | None  # the standard error of the mean; of one row None


def make_mean(per_example: PerExample) -> Callable[..., dict[str, float]]:
  """Build (state, feed, batch_size, key) -> {name: mean}: see make_estimate."""
  estimate = make_estimate(per_example)

  def mean(*arguments):
    return {name: found.mean for name, found in estimate(*arguments).items()}

  return mean


def make_estimate(
  per_example: PerExample,
) -> Callable[..., dict[str, Estimate]]:
  """Build (state, feed, batch_size, key) -> {name: Estimate}, compiled once.

  The last batch is padded and the padding masked out, so the mean is over the
  examples and not over batches. A metric that some rows do not have (a
  types.Masked) is averaged over the rows that have it. If no row has it, the
  metric is absent.
  """

  @functools.cache
  def compile_moments(mesh: Mesh, take: Callable) -> Callable:
    def moments(state, table, rows, mask, key):
      values = per_example(state, take(table, rows), key)
      return {name: _find_moments(v, mask) for name, v in values.items()}

    return mesh.jit(moments)

  def estimate(state, source: feed.Feed, batch_size: int, key):
    moments = compile_moments(source.mesh, source.take)
    found: list[Mapping] = []
    devices = source.mesh.size
    whole = -(-batch_size // devices) * devices  # as many rows on each
    for i, (rows, mask) in enumerate(
      batches.padded_batches(source.rows, whole)
    ):
      table, rows = source(rows)
      found.append(
        moments(state, table, rows, mask, jax.random.fold_in(key, i))
      )
    together = {}
    for name in found[0]:
      parts = np.array([batch[name] for batch in found], np.float64)
      if parts[:, 1].any():
        together[name] = _join(*parts[parts[:, 1] > 0].T)
    return together

  return estimate


def _find_moments(
  metric: Array | Masked, mask: Array
) -> tuple[Array, Array, Array]:
  """Return of a metric [B] the sum, the count and the squared deviations.

  They are of the rows that have it. The deviations are from these rows' mean,
  since a sum of squares of large numbers would be inexact.
  """
  if isinstance(metric, Masked):
    mask &= metric.known > 0
    metric = metric.value
  total = jnp.where(mask, metric, 0.0).sum()
  count = mask.sum()
  middle = total / jnp.maximum(count, 1)
  return total, count, jnp.where(mask, (metric - middle) ** 2, 0.0).sum()


def _join(total: NDArray, count: NDArray, squares: NDArray) -> Estimate:
  """Return the estimate of all batches from the moments of each, [batches].

  Chan, Golub and LeVeque 1979 join the squared deviations.
  """
  rows = count.sum()
  mean = total.sum() / rows
  if rows < 2:
    return Estimate(float(mean), None)
  around = squares.sum() + (count * (total / count - mean) ** 2).sum()
  return Estimate(float(mean), float(np.sqrt(around / (rows - 1) / rows)))


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
