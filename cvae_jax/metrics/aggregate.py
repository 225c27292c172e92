"""Gaussians and mixtures fitted to the aggregate posterior, by condition.

The aggregate posterior is q(z) = mean of q(z | x, c) over the training rows.
If it differs from the prior, draws of the prior lie where no image has its
code. Draws of the fit do not.

Given a condition c the fit is a mixture of Gaussians around a mean that is
linear in c. Some entries of c are 0 or 1 in all rows; rows that agree in them
form a cell. A cell with enough rows has a mixture of its own, whose mean is
linear in the other entries, the numbers. For a condition of no such cell the
fit of all rows is used, whose mean is linear in all entries. For a condition
with an unknown value the fit without a condition is used.
"""

import dataclasses
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

CELLS = 200  # at most; more would be too many to keep a fit for each
MARGINAL = 0
ALL = 1  # groups before the cells


@dataclasses.dataclass(frozen=True)
class Aggregate:
  """Mixtures of Gaussians over [Z], a group for each cell of conditions [A].

  Group MARGINAL is the fit without a condition, group ALL the fit of all rows.
  The cells follow.
  """

  binary: NDArray  # bool [A]: entries that are 0 or 1 in all rows
  cells: NDArray  # [G − 2, A]: these entries, 0 in the others' place
  kernel: NDArray  # [G, 1 + A, Z]: the mean is [1, c] · kernel
  share: NDArray  # [G, K]
  mean: NDArray  # [G, K, Z], beside the kernel's
  covariance: NDArray  # [G, K, Z, Z]

  @property
  def components(self) -> int:
    """Return the number of Gaussians of a group."""
    return self.share.shape[1]

  def groups(self, condition: NDArray, known: NDArray) -> NDArray:
    """Return the groups [B] of conditions [B, A], with what is `known` [B]."""
    entries = np.where(self.binary, condition, 0.0)
    found = np.full(len(condition), ALL)
    for index, cell in enumerate(self.cells):
      found[(entries == cell).all(axis=-1)] = ALL + 1 + index
    return np.where(known, found, MARGINAL)

  def draw(
    self,
    count: int,
    seed: int = 0,
    condition: ArrayLike | None = None,
    known: ArrayLike | bool = True,
    shared: int = 1,
  ) -> NDArray[np.float32]:
    """Draw z [count, Z].

    Args:
      count: how many.
      seed: of the noise.
      condition: [count, A]; None for no condition.
      known: [count], whether all values of a condition are known.
      shared: how many consecutive latents have the same noise.
    """
    generator = np.random.default_rng(seed)
    size = (count // shared, self.mean.shape[-1])
    noise = generator.standard_normal(size).repeat(shared, axis=0)
    pick = generator.random(len(noise) // shared).repeat(shared)
    group, center = self._locate_groups(count, condition, known)
    edges = self.share.cumsum(axis=1)[group, :-1]
    component = (pick[:, None] >= edges).sum(axis=1)
    z = np.empty_like(noise)
    for which in {*zip(group.tolist(), component.tolist(), strict=True)}:
      rows = (group == which[0]) & (component == which[1])
      spread = noise[rows] @ _root(self.covariance[which])
      z[rows] = center[rows] + self.mean[which] + spread
    return z.astype(np.float32)

  def log_density(
    self,
    z: ArrayLike,
    condition: ArrayLike | None = None,
    known: ArrayLike | bool = True,
  ) -> NDArray:
    """Return log p(z | condition) [B] of z [B, Z] in nats."""
    z = np.asarray(z, np.float64)
    group, center = self._locate_groups(len(z), condition, known)
    found = np.empty(len(z))
    for index in np.unique(group):
      rows = group == index
      logs = [
        np.log(share)
        + stats.multivariate_normal.logpdf(
          z[rows] - center[rows], mean, covariance, allow_singular=True
        )
        for share, mean, covariance in zip(
          self.share[index],
          self.mean[index],
          self.covariance[index],
          strict=True,
        )
        if share > 0
      ]
      found[rows] = special.logsumexp(np.atleast_2d(np.stack(logs)), axis=0)
    return found

  def _locate_groups(
    self, count: int, condition, known
  ) -> tuple[NDArray, NDArray]:
    """Return the group [B] and the linear part of the mean [B, Z]."""
    if condition is None:
      condition = np.zeros((count, len(self.binary)))
      known = False
    condition = np.asarray(condition, np.float64)
    group = self.groups(condition, np.broadcast_to(known, count))
    design = np.concatenate([np.ones((count, 1)), condition], axis=1)
    center = np.empty((count, self.mean.shape[-1]))
    for index in np.unique(group):
      rows = group == index
      center[rows] = design[rows] @ self.kernel[index]
    return group, center


def _root(covariance: NDArray) -> NDArray:
  """Return the symmetric square root [Z, Z] of a covariance.

  Of similar covariances the roots are similar, so shared noise gives similar
  latents. Eigenvectors alone may differ in sign.
  """
  values, vectors = np.linalg.eigh(covariance)
  return (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T


def min_rows(latents: int, components: int) -> int:
  """Return how many rows a cell needs for a fit of its own."""
  return components * (2 * latents + 20)


def fit(
  mean: ArrayLike,
  variance: ArrayLike | float = 0.0,
  condition: ArrayLike | None = None,
  components: int = 1,
  seed: int = 0,
) -> Aggregate:
  """Fit Gaussians with full covariances to posteriors of rows.

  A single Gaussian has the aggregate's own mean and covariance. A mixture is
  scikit-learn's, of a draw of each row's posterior.

  Args:
    mean: of the posteriors [N, Z].
    variance: of the posteriors [N, Z]; 0 of points.
    condition: [N, A].
    components: K.
    seed: of the draws and of where a mixture begins.
  """
  mean = np.asarray(mean, np.float64)
  variance = np.broadcast_to(np.asarray(variance, np.float64), mean.shape)
  rows, latents = mean.shape
  given = np.zeros((rows, 0)) if condition is None else condition
  given = np.asarray(given, np.float64)
  binary = ((given == 0) | (given == 1)).all(axis=0)
  cells, which, counts = _cells(np.where(binary, given, 0.0))
  large = np.flatnonzero(counts >= min_rows(latents, components))
  large = large[np.argsort(-counts[large], kind="stable")][:CELLS]
  everything = np.ones(rows, bool)
  asked = [(everything, np.zeros_like(binary)), (everything, True)]
  asked += [(which == index, ~binary) for index in large]
  parts = [
    _part(mean[rows], variance[rows], given[rows], heeded, components, seed)
    for rows, heeded in asked
  ]
  fields = (np.stack(arrays) for arrays in zip(*parts, strict=True))
  return Aggregate(binary, cells[large], *fields)


def _cells(entries: NDArray) -> tuple[NDArray, NDArray, NDArray]:
  """Return distinct rows [G, A], the index of each row [N], and the counts.

  Without entries there are no cells.
  """
  if not entries.shape[1]:
    return entries[:0], np.zeros(len(entries), int), np.zeros(0, int)
  cells, which, counts = np.unique(
    entries, axis=0, return_inverse=True, return_counts=True
  )
  return cells, which.reshape(-1), counts


def _part(mean, variance, given, heeded, components: int, seed: int):
  """Fit one group: (kernel, share, mean, covariance), see Aggregate.

  Args:
    heeded: the entries [A] in which its mean is linear.
  """
  latents = mean.shape[1]
  size = given.shape[1]
  # Of an entry that is the same in all rows no slope is known.
  heeded = heeded & (np.ptp(given, axis=0) > 0)
  kernel = np.zeros((1 + size, latents))
  kernel[0] = mean.mean(axis=0)
  if heeded.any():
    design = np.concatenate([np.ones((len(mean), 1)), given[:, heeded]], axis=1)
    lines = np.linalg.lstsq(design, mean, rcond=None)[0]
    kernel[0], kernel[1:][heeded] = lines[0], lines[1:]
    mean = mean - design @ lines
  else:
    mean = mean - kernel[0]
  if components == 1:
    covariance = np.atleast_2d(np.cov(mean.T)) + np.diag(variance.mean(axis=0))
    return kernel, np.ones(1), np.zeros((1, latents)), covariance[None]
  noise = np.random.default_rng(seed).standard_normal(mean.shape)
  mixture = GaussianMixture(components, random_state=seed)
  with warnings.catch_warnings():  # its likelihood is near its best by then
    warnings.simplefilter("ignore", ConvergenceWarning)
    mixture.fit(mean + np.sqrt(variance) * noise)
  return kernel, mixture.weights_, mixture.means_, mixture.covariances_
