"""Judge: one network that reads all attributes of an image.

It is the independent judge of conditional samples. It has a head for each
attribute, by the attribute's kind:

    softmax    a class: −log p(level), in nats
    sigmoid    binary, multi-label, ordinal: −Σ_k log p(entry k), in nats
    linear     a number: w · (v − v̂)²
    circular   an angle: w · |u − û|², u on the unit circle

The loss is their sum, plus l2 · Σ kernel² of the dense layers. Attributes that
are unknown in a row do not count there.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import losses, parts
from cvae_jax.nets.judge import Judge
from cvae_jax.systems.models import reader
from cvae_jax.types import (
  Batch,
  Facts,
  Masked,
  Metrics,
  Place,
  PyTree,
  System,
  TrainState,
)

LEAST = 16  # pixels of an image's shorter side


class Model(NamedTuple):
  """The network, its heads and what weighs the terms of their loss."""

  net: Judge
  heads: tuple[Place, ...]
  weight: float  # of squared errors
  l2: float

  def outputs(self, params: PyTree, image: Array, key=None) -> Array:
    """Return the network's outputs [B, K]; without a key dropout is off."""
    return self.net.apply({"params": params["judge"]}, image, key)

  def read(self, outputs: Array) -> Array:
    """Return entries of a condition [B, K]: probabilities and values."""
    found = [
      READINGS[head.head](outputs[:, jnp.array(head.entries)])
      for head in self.heads
    ]
    order = jnp.argsort(jnp.array([i for h in self.heads for i in h.entries]))
    return jnp.concatenate(found, axis=-1)[:, order]


def make(config, facts: Facts) -> System:
  """Build the judge of the attributes that the data have.

  Raises:
    ValueError: the data have no attributes, or the images are too small.
  """
  heads = facts.attributes
  _check(facts)
  model = Model(
    net=Judge(outputs=sum(len(head.entries) for head in heads), **config.model),
    heads=heads,
    weight=config.loss.weight,
    l2=config.loss.l2,
  )

  def params(key: Array) -> PyTree:
    image = jnp.zeros((1, *facts.image_shape))
    return parts.init_branches({"judge": model.net}, key, judge=image)[0][
      "judge"
    ]

  return reader.build(
    config,
    facts,
    "judge",
    params,
    loss=functools.partial(_loss, model),
    evaluate=functools.partial(_evaluate, model),
    predict=lambda state, image, given: model.read(
      model.outputs(state.params, image)
    ),
    notes=("heads: " + ", ".join(f"{h.name} ({h.head})" for h in heads),),
  )


def _check(facts: Facts) -> None:
  """Check that there is something to read, from images that are large enough.

  Raises:
    ValueError: there is not.
  """
  if not facts.attributes:
    raise ValueError(
      "a judge reads attributes, and these data have none; prepare them with a "
      "table, or leave the judge out"
    )
  height, width = facts.image_shape[:2]
  if min(height, width) < LEAST:
    raise ValueError(
      f"a judge reads images of at least {LEAST} pixels a side; found "
      f"{height} × {width}"
    )


def _unit(outputs: Array) -> Array:
  """Bring pairs [B, 2] onto the unit circle."""
  length = jnp.sqrt((outputs**2).sum(axis=-1, keepdims=True) + 1e-12)
  return outputs / length


def _cross_entropies(outputs: Array, target: Array) -> Array:
  nats = optax.losses.sigmoid_binary_cross_entropy(outputs, target)
  return nats.sum(axis=-1)


def _squared_error(outputs: Array, target: Array) -> Array:
  return ((outputs - target) ** 2).sum(axis=-1)


READINGS: Mapping[str, Callable[[Array], Array]] = {
  "softmax": jax.nn.softmax,
  "sigmoid": jax.nn.sigmoid,
  "linear": lambda outputs: outputs,
  "circular": _unit,
}
LOSSES: Mapping[str, Callable[[Array, Array], Array]] = {
  "softmax": optax.losses.softmax_cross_entropy,
  "sigmoid": _cross_entropies,
  "linear": _squared_error,
  "circular": _squared_error,
}


def _terms(model: Model, params, batch: Batch, key=None) -> dict[str, Masked]:
  """Return {attribute: its unweighted loss [B]}, 0 where it is unknown."""
  image = parts.unit(batch["image"])
  condition = batch["condition"]
  outputs = model.outputs(params, image, key)
  found = {}
  # HEADS: one term each, by the attribute's kind; the module says which.
  for head in model.heads:
    entries = jnp.array(head.entries)
    loss = LOSSES[head.head](outputs[:, entries], condition[:, entries])
    known = jnp.ones(len(loss))
    if head.bit is not None:
      known = condition[:, head.bit]
    found[head.name] = Masked(loss * known, known)
  return found


def _total(model: Model, terms: Mapping[str, Masked]) -> Array:
  """Return the weighted sum of the heads' losses, [B]."""
  weights = {"linear": model.weight, "circular": model.weight}
  return sum(
    weights.get(head.head, 1.0) * terms[head.name].value for head in model.heads
  )


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  terms = _terms(model, params, batch, key)

  # KERNELS: l2 · Σ kernel² of the dense layers, once a step.
  l2 = losses.dense_l2(params, model.l2)
  total = _total(model, terms).mean() + l2
  # The errors are of the rows whose value is known.
  errors = {f"error_{name}": term for name, term in terms.items()}
  return total, (parts.masked_means(errors) | {"l2": l2}, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  terms = _terms(model, state.params, batch)
  errors = {f"error_{name}": term for name, term in terms.items()}
  return {"loss": _total(model, terms), **errors}
