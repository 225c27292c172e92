"""What systems share that learn classes from few labels (Kingma et al. 2014).

L(x, y) is a bound on −log p(x, y), and q(y | x) is a classifier. A labelled
example costs L(x, y). An unlabelled one costs a sum over all K labels,

    U(x) = Σ_y q(y | x) L(x, y) − H(q(y | x)).

The loss is the sum of both, weighted by their shares of the data, plus
α · (−log q(y | x)) of the labelled examples, plus l2 · Σ kernel².

A system that distorts its images can add agreement · KL(q(y | x) ‖ q(y | x̃)):
an image x and the distorted x̃ shall have the same classes (`disagreement`).
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import likelihoods
from cvae_jax.types import Facts, Metrics


class Weights(Protocol):
  """The weights of the terms."""

  labelled: float  # × mean L(x, y): the share of labelled data
  unlabelled: float  # × mean U(x): the share of the others
  alpha: float  # × mean −log q(y | x) of labelled data


def likelihood(loss, channels: int) -> likelihoods.Likelihood:
  """Build the likelihood of pixels that config.loss describes.

  Raises:
    ValueError: σ is to be fitted to one output, but each label has its own.
  """
  found = likelihoods.build(loss, channels, "bernoulli")
  if isinstance(found, likelihoods.Sigma) and not found.learned:
    raise ValueError(
      "loss.sigma=optimal is of one output, and there is one for each label "
      "here; set loss.sigma=learned"
    )
  return found


def count_classes(facts: Facts, what: str = "few labels are") -> int:
  """Return the number of classes K that a condition [K] has, which is one-hot.

  Args:
    facts: of the data.
    what: what is of one class, for the error.

  Raises:
    ValueError: a condition says nothing, or more than one class, or a class
      that may be unknown.
  """
  places = facts.attributes
  if (
    facts.condition_size < 2
    or len(places) > 1
    or any(place.kind != "class" for place in places)
  ):
    names = ", ".join(place.name for place in places) or "nothing"
    raise ValueError(
      f"{what} of one class, and the condition has "
      f"{facts.condition_size} entries, of {names}; set data.condition=class "
      "and data.conditions to the number of classes"
    )
  if any(place.bit is not None for place in places):
    raise ValueError(
      f"{what} of one class that is known of each row; {places[0].name} may be "
      "unknown here: leave such rows and data.condition_dropout out"
    )
  return facts.condition_size


def columns(shape: tuple[int, ...], classes: int) -> dict[str, tuple[int, ...]]:
  """Return the columns of a batch: images, and labelled ones beside them."""
  return {
    "image": shape,
    "labelled_image": shape,
    "label": (),
    "condition": (classes,),
  }


def terms(
  logq: Array, bounds: Array, labelled: Array, guess: Array, y: Array
) -> Metrics:
  """Return U of the images and L and −log q(y | x) of the labelled, [B].

  Args:
    logq: log q(y | x) of the images, [B, K].
    bounds: L(x, y) of each label, [B, K].
    labelled: L(x, y) of the labelled images, [B, 1].
    guess: their log q(y | x), [B, K].
    y: their labels, one-hot [B, K].
  """
  q = jnp.exp(logq)
  # U = Σ_y q(y | x) (L(x, y) + log q(y | x)).
  return {
    "unlabelled": jnp.sum(q * (bounds + logq), axis=-1),
    "labelled": labelled[:, 0],
    "cross_entropy": -jnp.sum(y * guess, axis=-1),
    "entropy": -jnp.sum(q * logq, axis=-1),
  }


def classifier_weight(warm_up: int, step: Array) -> Array | float:
  """Return the weight in [0, 1] of what the classifier learns from U.

  It grows with the steps until `warm_up`. Before y means the classes to the
  generator, the labels' bounds differ by chance and by style, and a classifier
  that follows them early keeps their mistakes.
  """
  return jnp.minimum(1.0, step / warm_up) if warm_up else 1.0


def disagreement(target: Array, logq: Array) -> Array:
  """Return KL(q ‖ q̃), [B], of an image's classes and its changed image's.

  A classifier that learns from it gives both the same classes (Xie et al. 2020,
  Unsupervised Data Augmentation, section 2).

  Args:
    target: logits [B, K] of the image, which get no gradient.
    logq: log q̃, [B, K], of the changed image.
  """
  log_target = jax.lax.stop_gradient(jax.nn.log_softmax(target))
  return jnp.sum(jnp.exp(log_target) * (log_target - logq), axis=-1)


def total(weights: Weights, means: Metrics) -> Array:
  """Return the loss from the terms' means and `l2`, the weighted kernels."""
  return (
    weights.unlabelled * means["unlabelled"]
    + weights.labelled * means["labelled"]
    + weights.alpha * means["cross_entropy"]
    + means["l2"]
  )


def error(guess: Array, label: Array) -> Array:
  """Return 1 where the largest logit [B, K] is not the label [B], else 0."""
  return (guess.argmax(axis=-1) != label).astype(jnp.float32)


def note(weights: Weights, classes: int) -> str:
  """Say what the loss is."""
  return (
    f"loss: {weights.unlabelled:g} × U + {weights.labelled:g} × L + "
    f"{weights.alpha:g} × cross-entropy + L2, in nats; U sums over "
    f"{classes} labels"
  )


def agreement_note(weight: float) -> str:
  """Say how `disagreement` is weighed, if it is, to end a note of the loss."""
  if not weight:
    return ""
  return f"; + {weight:g} × KL(q(y | x) ‖ q(y | x̃)), x̃ being x distorted"


def warnings(config, rows: int | None) -> tuple[str, ...]:
  """Warn if the weights of the loss are not the shares of the data.

  Args:
    config: of a run; its page computes the weights for its own data.
    rows: the training examples, None where they are not known.
  """
  labels = config.data.get("labels", -1)
  if rows is None or labels < 0:
    return ()
  share = labels / rows
  if abs(config.loss.labelled - share) <= 0.01 * share:
    return ()
  return (
    f"warning: loss.labelled is {config.loss.labelled:.4g}, but {labels:,} of "
    f"{rows:,} training examples are labelled: set "
    f"--config.loss.labelled={share:.6g} and "
    f"--config.loss.unlabelled={1 - share:.6g}",
  )
