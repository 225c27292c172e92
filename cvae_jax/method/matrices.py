"""Optimisers that see a kernel as a matrix: Shampoo and Muon.

Adam divides each number of a gradient by its own size. These two divide along
the singular directions of the whole matrix, so that a step also makes progress
in directions in which gradients are small. What is no matrix (biases, kernels
of convolutions) moves by Nesterov's Adam at the same rate.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.types import PyTree

LARGEST = 512  # a side with more rows or columns has no statistics
SAMPLED = 5  # steps from one gradient to the next that enters the statistics
DECAY = 0.98  # of the statistics, per gradient that enters
PERIOD = 100  # steps from one set of roots to the next
EARLY = 10  # the same in the first PERIOD steps
DAMPING = 1e-4  # the least eigenvalue, as a share of their mean


class ShampooState(NamedTuple):
  """The moments, and what belongs to a side of a matrix by its name."""

  count: Array  # of updates
  mu: PyTree  # mean gradients
  nu: dict  # {leaf: mean squared gradient} of what is no matrix
  statistics: dict  # {leaf: {side: [n, n]}}, running sums of G Gᵀ or Gᵀ G
  roots: dict  # {leaf: {side: [n, n]}}, their inverse square roots


def shampoo(
  learning_rate: optax.ScalarOrSchedule,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
) -> optax.GradientTransformation:
  """Build Shampoo (Gupta et al. 2018) with Nesterov's momentum.

  The covariance of a gradient [m, n] is taken for that of its rows ⊗ that of
  its columns, each up to 512 wide (Morwani et al. 2024). A wider side is taken
  for uncorrelated. The move is the mean gradient, divided by the square root
  of this covariance. Its root mean square is at most 1, and is that of Adam's,
  so both take about the same rates.

  Args:
    learning_rate: of all parameters.
    b1: decay of the mean gradient.
    b2: decay of the squared gradient of what is no matrix.
    eps: is added to the root of that.
    weight_decay: of all parameters.
  """
  return optax.chain(
    scale_by_shampoo(b1, b2, eps),
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_learning_rate(learning_rate),
  )


def muon(
  learning_rate: optax.ScalarOrSchedule,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  momentum: float = 0.95,
  weight_decay: float = 0.0,
) -> optax.GradientTransformation:
  """Build optax's Muon (Jordan 2024), with one rate for all parameters.

  A matrix moves along its mean gradient with all singular values made equal.
  The root mean square of the move is 0.2, about that of Adam's (Liu et al.
  2025), so both take the same rates.

  Args:
    learning_rate: of all parameters.
    b1: of Adam.
    b2: of Adam.
    eps: of both.
    momentum: decay of a matrix's mean gradient.
    weight_decay: of all parameters.
  """
  return optax.contrib.muon(
    learning_rate,
    beta=momentum,
    eps=eps,
    weight_decay=weight_decay,
    adam_b1=b1,
    adam_b2=b2,
    adam_weight_decay=weight_decay,
    consistent_rms=0.2,
  )


def scale_by_shampoo(
  b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
  """Build the part of `shampoo` without rate and decay."""

  def init(params: PyTree) -> ShampooState:
    leaves = _by_name(params)
    sides = {n: _sides(p.shape) for n, p in leaves.items() if _sides(p.shape)}
    zeros = {
      name: {s: jnp.zeros((size, size)) for s, size in found.items()}
      for name, found in sides.items()
    }
    return ShampooState(
      count=jnp.zeros((), jnp.int32),
      mu=jax.tree.map(jnp.zeros_like, params),
      nu={n: jnp.zeros_like(p) for n, p in leaves.items() if n not in sides},
      statistics=zeros,
      roots=jax.tree.map(jnp.copy, zeros),
    )

  def update(gradients: PyTree, state: ShampooState, params=None):
    del params
    leaves = _by_name(gradients)
    at = state.count
    count = optax.safe_increment(at)
    statistics = jax.lax.cond(
      at % SAMPLED == 0, _accumulate, lambda s, _: s, state.statistics, leaves
    )
    weight = 1.0 - DECAY ** (at // SAMPLED + 1).astype(jnp.float32)
    due = (at % PERIOD == 0) | ((at < PERIOD) & (at % EARLY == 0))
    roots = jax.lax.cond(
      due,
      lambda s, _: jax.tree.map(lambda a: _inverse_root(a / weight), s),
      lambda _, roots: roots,
      statistics,
      state.roots,
    )
    mu = optax.tree.update_moment(gradients, state.mu, b1, 1)
    nu = {n: b2 * v + (1 - b2) * leaves[n] ** 2 for n, v in state.nu.items()}
    ahead = jax.tree.map(  # Nesterov's, as in optax.nadam
      lambda m, g: b1 * m + (1 - b1) * g,
      optax.tree.bias_correction(mu, b1, optax.safe_increment(count)),
      optax.tree.bias_correction(gradients, b1, count),
    )
    moves = []
    for name, m in _by_name(ahead).items():
      if name in roots:
        moves.append(_divide(m, statistics[name], roots[name], weight))
      else:
        size = jnp.sqrt(nu[name] / (1 - b2**count))
        moves.append(m / (size + eps))
    moves = jax.tree.unflatten(jax.tree.structure(gradients), moves)
    return moves, ShampooState(count, mu, nu, statistics, roots)

  return optax.GradientTransformation(init, update)


def _by_name(tree: PyTree) -> dict[str, Array]:
  """Return the leaves by their paths, in the tree's order."""
  leaves, _ = jax.tree.flatten_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _sides(shape: tuple[int, ...]) -> dict[str, int]:
  """Return {side: its size} of those that have statistics."""
  if len(shape) != 2:
    return {}
  sides = dict(zip(("rows", "columns"), shape, strict=True))
  return {side: size for side, size in sides.items() if size <= LARGEST}


def _accumulate(statistics: dict, gradients: dict[str, Array]) -> dict:
  def mean(name: str, side: str, old: Array) -> Array:
    g = gradients[name]
    return DECAY * old + (1 - DECAY) * (g @ g.T if side == "rows" else g.T @ g)

  return {
    name: {side: mean(name, side, old) for side, old in found.items()}
    for name, found in statistics.items()
  }


def _inverse_root(matrix: Array) -> Array:
  """Return the inverse square root; 0 of a matrix of zeros."""
  values, vectors = jnp.linalg.eigh(matrix)
  mean = jnp.trace(matrix) / len(matrix)
  inverse = jax.lax.rsqrt(jnp.maximum(values, DAMPING * mean))
  inverse = jnp.where(mean > 0, inverse, 0.0)
  return (vectors * inverse[None]) @ vectors.T


def _divide(m: Array, statistics: dict, roots: dict, weight: Array) -> Array:
  """Divide m by the root of the gradient's covariance, to a size up to 1."""
  move = m
  if "rows" in roots:
    move = roots["rows"] @ move
  if "columns" in roots:
    move = move @ roots["columns"]
  if len(roots) == 2:  # covariance: rows ⊗ columns / trace
    move *= jnp.sqrt(jnp.trace(statistics["rows"]) / weight)
  else:  # rows ⊗ I / n
    move *= m.shape[1 if "rows" in roots else 0] ** 0.5
  size = jnp.sqrt(jnp.mean(move**2))
  return move / jnp.maximum(size, 1.0)
