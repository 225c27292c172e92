"""Check what a player's loss returns, while it is traced: types.LossFn."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cvae_jax.types import PyTree

# The names that the update gives to metrics of its own.
OWN = ("loss", "gradient_norm", "moves")
_FORM = "a player's loss returns (scalar, (metrics, model_state))"


def check_loss(found: Any, model_state: PyTree) -> Any:
  """Return what a loss returned, if it has the form of types.LossFn.

  Args:
    found: what it returned.
    model_state: what it was given.

  Raises:
    ValueError: it has another form; what was found is said.
  """
  pair = isinstance(found, tuple) and len(found) == 2
  if not pair or not isinstance(found[1], tuple) or len(found[1]) != 2:
    raise ValueError(f"{_FORM}; found {_describe(found)}")
  value, (metrics, after) = found
  _check_scalar("the loss", value)
  if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
    raise ValueError(
      f"the loss is a float; found the type {jnp.result_type(value)}"
    )
  if not isinstance(metrics, Mapping):
    raise ValueError(
      f"{_FORM}, and metrics is {{name: scalar}}; found {_describe(metrics)}"
    )
  for name, metric in metrics.items():
    if name in OWN:
      raise ValueError(
        f"a loss returned a metric named {name!r}, which is the name of the "
        "update's own: pop it, or give it another name"
      )
    _check_scalar(f"the metric {name!r} of a loss", metric)
  _check_same(model_state, after)
  return found


def _check_scalar(what: str, value: Any) -> None:
  shape = getattr(value, "shape", None)
  if shape is None and isinstance(value, int | float):
    return
  if shape != ():
    raise ValueError(
      f"{what} is a scalar, the mean over the batch; found "
      f"{_describe(value)}: parts.means averages {{name: [B]}}"
    )


def _check_same(before: PyTree, after: PyTree) -> None:
  """Check that model_state keeps its names, shapes and types."""
  old, new = (jax.tree.structure(tree) for tree in (before, after))
  shapes = [
    [(leaf.shape, leaf.dtype) for leaf in map(jnp.asarray, jax.tree.leaves(t))]
    for t in (before, after)
  ]
  if old != new or shapes[0] != shapes[1]:
    raise ValueError(
      "a loss returned a model_state of another form than it was given: "
      f"found {_names(after)}, expected {_names(before)}; return the one that "
      "it was given, or give init_state the first one"
    )


def _names(tree: PyTree) -> str:
  """Name a tree's arrays and their shapes."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  said = [
    f"{'/'.join(str(getattr(part, 'key', part)) for part in path)} "
    f"{jnp.shape(leaf)}"
    for path, leaf in leaves
  ]
  return ", ".join(said[:4]) + (" …" if len(said) > 4 else "") or "nothing"


def _describe(value: Any) -> str:
  """Say what a value is, in a few words."""
  if (shape := getattr(value, "shape", None)) is not None:
    return f"an array of shape {tuple(shape)}"
  if isinstance(value, tuple):
    return f"({', '.join(map(_describe, value))})"
  return f"a {type(value).__name__}" if value is not None else "None"
