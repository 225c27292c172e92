"""Judge: a network that reads an attribute, a class or a value in [0, 1].

It is the independent judge of conditional samples. It reads columns of the
condition: several columns are a class, one-hot or as probabilities, and one
column is a value. Other columns may be given to it beside the image.

The loss is the cross-entropy of a class in nats, or with loss.binary of a
value that is 0 or 1, and the squared error of other values; plus
l2 · Σ kernel² over the dense kernels. For two probabilities that sum to 1,
Keras's binary cross-entropy is the same number. Rows whose class or value is
unknown add nothing.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import losses, parts
from cvae_jax.nets.attribute import Attribute
from cvae_jax.systems.models import reader
from cvae_jax.types import (
  Batch,
  Facts,
  Masked,
  Metrics,
  PyTree,
  System,
  TrainState,
)

OTHERS = ("multilabel", "ordinal", "angle")  # kinds that another judge reads


class Model(NamedTuple):
  """The network, and which columns of a condition [A] it has to do with."""

  net: Attribute
  target: tuple[int, ...]  # read from the image; several are a class
  given: tuple[int, ...]  # known beside the image
  l2: float
  binary: bool  # the value is 0 or 1
  bit: int | None  # the column that says whether the target is known, if any

  def logits(self, params: PyTree, image, given, key=None) -> Array:
    """Return logits [B, K]; without a key dropout is off."""
    return self.net.apply({"params": params["attribute"]}, image, given, key)

  def read(self, logits: Array) -> Array:
    """Return class probabilities or the value, [B, K]."""
    of_class = len(self.target) > 1
    return jax.nn.softmax(logits) if of_class else jax.nn.sigmoid(logits)


def make(config, facts: Facts) -> System:
  """Build the system that config.columns, .model and .loss describe."""
  count = facts.condition_size
  target = _columns(config, "target", least=1, count=count)
  given = _columns(config, "given", least=0, count=count)
  _check_kind(target, facts)
  model = Model(
    net=Attribute(outputs=len(target), **config.model),
    target=target,
    given=given,
    l2=config.loss.l2,
    binary=config.loss.get("binary", False),  # older runs have none
    bit=_bit(target, facts),
  )
  if model.binary and len(target) > 1:
    raise ValueError(
      f"loss.binary is of one target, 0 or 1; found columns.target={target}, "
      "one-hot classes, which have a cross-entropy anyway: leave it out"
    )
  alone = len(model.target) > 1 and not model.given

  def params(key: Array) -> PyTree:
    image = jnp.zeros((1, *facts.image_shape))
    given = jnp.zeros((1, len(model.given)))
    return model.net.init(key, image, given)["params"]

  return reader.build(
    config,
    facts,
    "attribute",
    params,
    loss=functools.partial(_loss, model),
    evaluate=functools.partial(_evaluate, model),
    predict=lambda state, image, given: model.read(
      model.logits(state.params, image, given)
    ),
    classify=functools.partial(_classify, model) if alone else None,
    notes=(f"loss: {_name(model)} + L2 of the dense kernels",),
  )


def _columns(config, name: str, least: int, count: int) -> tuple[int, ...]:
  """Return the columns of a condition that a config names.

  Raises:
    ValueError: there are too few or a condition has no such column.
  """
  columns = tuple(config.columns[name])
  if len(columns) < least or not all(0 <= c < count for c in columns):
    raise ValueError(
      f"columns.{name} is {columns}; expected {least} or more of 0 to "
      f"{count - 1}, the columns of config.data.names"
    )
  return columns


def _check_kind(target: tuple[int, ...], facts: Facts) -> None:
  """Check that what is read is a class, or a value of one entry.

  Raises:
    ValueError: it is another kind, whose entries are no probabilities.
  """
  for place in facts.attributes:
    if set(target) & set(place.entries) and place.kind in OTHERS:
      raise ValueError(
        f"columns.target is {target}, entries of {place.name}, which is "
        f"{place.kind} and no class; train configs/judge.py, which has a head "
        "for each kind"
      )


def _bit(target: tuple[int, ...], facts: Facts) -> int | None:
  """Return the column that says whether what is read is known, if any."""
  of = {place.bit for place in facts.attributes if {*target} & {*place.entries}}
  return of.pop() if len(of) == 1 else None


def _classify(model: Model, state: TrainState, image: Array) -> Array:
  given = jnp.zeros((image.shape[0], 0))
  return model.logits(state.params, image, given)


def _name(model: Model) -> str:
  of_class = len(model.target) > 1 or model.binary
  return "cross_entropy" if of_class else "squared_error"


def _terms(model: Model, params, batch: Batch, key=None) -> Metrics:
  """Return the error of each example [B] under the name of its kind."""
  image = parts.unit(batch["image"])
  condition = batch["condition"]
  target = condition[:, jnp.array(model.target, jnp.int32)]
  given = condition[:, jnp.array(model.given, jnp.int32)]
  logits = model.logits(params, image, given, key)

  # 1. CLASS: −Σ_k y_k log p_k.
  if len(model.target) > 1:
    right = logits.argmax(-1) == target.argmax(-1)
    return {
      "cross_entropy": optax.losses.softmax_cross_entropy(logits, target),
      "accuracy": right.astype(jnp.float32),
    }

  # 1. VALUE: (v − v̂)²; with loss.binary −v log v̂ − (1 − v) log (1 − v̂).
  error = (model.read(logits) - target)[:, 0]
  terms = {"squared_error": error**2, "absolute_error": jnp.abs(error)}
  if model.binary:
    nats = optax.losses.sigmoid_binary_cross_entropy(logits, target)
    terms["cross_entropy"] = nats[:, 0]
  return terms


def _known(model: Model, batch: Batch, terms: Metrics) -> dict[str, Masked]:
  """Return terms [B] that are of rows whose target is known, 0 elsewhere."""
  known = batch["condition"][:, model.bit]
  return {name: Masked(term * known, known) for name, term in terms.items()}


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  terms = _terms(model, params, batch, key)
  if model.bit is None:
    terms = parts.means(terms)
    total = terms[_name(model)]
  else:
    masked = _known(model, batch, terms)
    total = masked[_name(model)].value.mean()
    terms = parts.masked_means(masked)

  # 2. KERNELS: l2 · Σ kernel² of the dense layers, once a step.
  terms["l2"] = losses.dense_l2(params, model.l2)
  return total + terms["l2"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return each term and, as Keras's val_loss, the loss with its L2, [B]."""
  terms = _terms(model, state.params, batch)
  l2 = losses.dense_l2(state.params, model.l2)
  error = terms[_name(model)]
  if model.bit is not None:
    terms = _known(model, batch, terms)
    error = terms[_name(model)].value
  return {"loss": error + l2, **terms}
