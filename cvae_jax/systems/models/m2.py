"""The networks of M2 and of M1+M2, and the bound L(x, y) that they give."""

import math
from typing import NamedTuple

import jax
from jax import Array

from cvae_jax.method import (
  few_labels,
  gaussian,
  kl_control,
  likelihoods,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.m1 import M1
from cvae_jax.nets.m2 import M2
from cvae_jax.nets.mlp import MLP, binary, flat
from cvae_jax.types import (
  Facts,
  Metrics,
  PyTree,
)


class Loss(NamedTuple):
  """The weights of the terms."""

  labelled: float  # × mean L(x, y): the share of labelled data
  unlabelled: float  # × mean U(x): the share of the others
  alpha: float  # × mean −log q(y | x) of labelled data
  l2: float  # × squared kernels
  binarise: bool  # draw pixels 0 or 1 from their grey values, in each step anew
  soft: bool  # the source's loss, in which y is q(y | x) itself
  warm_up: int  # steps until the classifier learns from U in full
  likelihood: likelihoods.Likelihood  # of pixels
  kl: kl_control.KLWeight


class Model(NamedTuple):
  """The networks, their data and the weights of their loss."""

  nets: M2
  shape: tuple[int, ...]  # (H, W, C)
  classes: int
  latents: int
  loss: Loss

  def pixels(self, image: Array, key=None) -> Array:
    """Return images as rows [B, D], drawn from their grey values if asked."""
    x = flat(image)
    if key is None or not self.loss.binarise:
      return x
    return binary(key, x)

  def data(self, params: PyTree, image: Array, key=None) -> Array:
    """Return what the networks see; without a key nothing is drawn.

    An M1 reads the grey values. From drawn pixels its latents are noisier, and
    an M2 on them learns more slowly.
    """
    if self.nets.m1 is None:
      return self.pixels(image, key)
    drawn = None if key is None else jax.random.fold_in(key, 1)
    return self.nets.m1.features(params, flat(image), drawn)

  def pixel_output(self, logits: Array) -> Array:
    """Return the argument of the pixels' likelihood."""
    return jax.nn.sigmoid(logits) if self.loss.likelihood.means else logits

  def nats(self, params: PyTree, x: Array, output: Metrics) -> Array:
    """Return −log p(x | z, y), summed over the last axis."""
    if self.nets.m1 is None:
      likelihood = self.loss.likelihood
      logvar = likelihoods.stored_logvar(likelihood, params, {})
      return likelihood.nats(x, self.pixel_output(output["logits"]), logvar)
    nats = gaussian.nats(x, Gaussian(**output))
    return self.nets.m1.mask_unread(params, nats).sum(axis=-1)

  def bound(
    self, params: PyTree, x: Array, y: Array, key, drop=None, step=None
  ) -> Array:
    """Return L(x, y) of x [B, 1, D] and one-hot y [B or 1, k, K], [B, k].

    With a step the KL has its weight of training. Without, L is a bound.
    """
    drop = (None, None) if drop is None else jax.random.split(drop)
    q = self.nets.infer(params, x, y, drop[0])
    # All labels share one ε. The classifier learns from the differences of
    # their bounds, which with an ε for each label were mostly chance.
    z = gaussian.reparameterise(key, q, shared=(-2,))

    # 1. PIXELS: −log p(x | z, y); over an M1 x are its latents.
    nats = self.nats(params, x, self.nets.generate(params, z, y, drop[1]))

    # 2. LATENTS: KL(q(z | x, y) ‖ N(0, I)), summed over latents.
    kl = gaussian.kl_to_prior(q)
    if step is None:
      kl = kl.sum(axis=-1)
    else:
      kl = self.loss.kl.per_example(kl, step, self.latents)

    # 3. CLASSES: −log p(y) = log K.
    return nats + kl + math.log(self.classes)


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a choice is not supported, or two do not fit together.
  """
  nets = config.model
  shape = facts.image_shape
  gauss = {"mean": nets.latents, "logvar": nets.latents}
  loss = _read(config, shape[-1])
  m1 = None
  pixels = {"logits": math.prod(shape) * loss.likelihood.width}
  output = pixels
  classes = few_labels.count_classes(facts)
  if features := nets.features:
    output = {"mean": features.latents, "logvar": features.latents}
    encoder = MLP(**features.encoder, heads=output)
    m1 = M1(encoder, MLP(**features.decoder, heads=pixels), features.latents)
  m2 = M2(
    classifier=MLP(**nets.classifier, heads={"logits": classes}),
    inference=MLP(**nets.inference, heads=gauss),
    generator=MLP(**nets.generator, heads=output),
    m1=m1,
  )
  return Model(m2, shape, classes, nets.latents, loss)


def _read(config, channels: int) -> Loss:
  """Read config.loss.

  Raises:
    ValueError: a choice is not supported.
  """
  group = config.loss
  likelihood = few_labels.likelihood(group, channels)
  # As tuples, a Bernoulli and a continuous one are equal.
  own = isinstance(likelihood, likelihoods.Bernoulli)
  if config.model.features and not own:
    raise ValueError(
      f"on an M1 the pixels are M1's; leave out loss.likelihood="
      f"{group.likelihood}"
    )
  drawn = config.data.get("binarise", "") == "dynamic"
  own = ("labelled", "unlabelled", "alpha", "l2", "soft")
  return Loss(
    **{name: group[name] for name in own},
    binarise=group.get("binarise", False) or drawn,
    warm_up=group.get("warm_up", 0),
    likelihood=likelihood,
    kl=kl_control.read_kl_weight(group),
  )
