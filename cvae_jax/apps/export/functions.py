"""The functions of a run that other programs can run: named arrays in and out.

Each takes float32 arrays [B, …]. A run without a condition has no input of
that name.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import recompose
from cvae_jax.runs import Run


class Function(NamedTuple):
  """One function of a run, and the names and shapes of its arrays."""

  apply: Callable  # takes arrays [B, …] in the order of `inputs`
  inputs: Mapping[str, tuple[int, ...]]  # {name: shape of one example}
  outputs: tuple[str, ...]


def from_run(run: Run) -> dict[str, Function]:
  """Return what a run's system can do: {decode, encode, sample, …: function}.

  `sample` is there if the prior is N(0, I): its noise is the latent. The
  colouring has only `colour`, and another system without images has nothing.
  """
  system = run.system
  found = {}
  image = system.columns.get("image")
  if image is None:
    return {"colour": _colour(run)} if "photo" in system.columns else {}
  if system.decode:

    def draw(*arrays):
      return jnp.clip(system.decode(*arrays), 0.0, 1.0)  # as Run.sample

    names = ("z", "condition")
    found["decode"] = _conditional(run, system.decode, names, ("image",))
    if system.prior is None and system.draw is None:
      swapped = ("noise", "condition")
      function = _conditional(run, draw, swapped, ("image",))
      found["sample"] = function
  if system.encode:
    names = ("image", "condition")
    outputs = ("mean", "logvar")
    found["encode"] = _conditional(run, system.encode, names, outputs)
  if system.classify:
    found["classify"] = Function(
      lambda x: jax.nn.softmax(system.classify(run.state, x)),
      {"image": image},
      ("probabilities",),
    )
  if system.predict:
    given = len(run.config.get("columns", {}).get("given", ()))
    found["predict"] = _drop_empty_input(
      lambda *xs: system.predict(run.state, *xs),
      {"image": image, "given": (given,)},
      ("output",),
    )
  return found


def _colour(run: Run) -> Function:
  """Return the colouring of greys [B, S, S] in [0, 1], a latent each.

  Its outputs are the map of colours [B, 14, 14, 2], and the photo [B, S, S, 3]
  in [0, 1].
  """

  def one(z: Array, grey: Array):
    colours = run.system.decode(run.state, z[None, None], grey[None])[0, 0]
    return colours, recompose.paint(colours, grey)

  inputs = {
    "z": (run.system.latents,),
    "grey": run.system.columns["photo"][:2],
  }
  return Function(jax.vmap(one), inputs, ("colours", "image"))


def _conditional(run: Run, function, names, outputs) -> Function:
  """Return a function of the state and two arrays as one of the arrays."""
  system = run.system
  first = {
    "image": system.columns["image"],
    "z": (system.latents,),
    "noise": (system.latents,),
  }[names[0]]
  inputs = {names[0]: first, names[1]: system.columns.get("condition", (0,))}
  return _drop_empty_input(
    lambda *xs: function(run.state, *xs), inputs, outputs
  )


def _drop_empty_input(apply, inputs, outputs) -> Function:
  """Leave out a second input that has no entries."""
  (first, shape), (_, width) = inputs.items()
  if width[0]:
    return Function(apply, inputs, outputs)

  def alone(x: Array):
    return apply(x, jnp.zeros((x.shape[0], 0), jnp.float32))

  return Function(alone, {first: shape}, outputs)
