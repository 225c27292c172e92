"""The networks of ADGM and SDGM, and the bound L(x, y) that they give."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import few_labels, gaussian, kl_control, likelihoods
from cvae_jax.nets.adgm import ADGM
from cvae_jax.nets.distortion import distort
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.types import Batch, Facts, PyTree

BRANCHES = ("auxiliary", "classifier", "inference", "partner", "generator")


class Model(NamedTuple):
  """The networks and the weights of the terms of their loss."""

  nets: ADGM
  sizes: tuple[int, int, int, int]  # of pixels, y, a and z
  shape: tuple[int, ...]  # (H, W, C)
  labelled: float  # × mean L(x, y): the share of labelled data
  unlabelled: float  # × mean U(x): the share of the others
  alpha: float  # × mean −log q(y | a, x) of labelled data
  agreement: float  # × mean KL of an image's classes to its distorted image's
  l2: float  # × squared kernels
  warm_up: int  # steps until the classifier learns from U in full
  distortion: float  # spread of the linear maps of images, in training
  shift: float  # pixels by which they are moved at most
  binarise: bool  # draw pixels 0 or 1 from their grey values, in each step anew
  likelihood: likelihoods.Likelihood
  kl: kl_control.KLWeight  # the weight of z's KL

  def distort(self, batch: Batch, key: Array) -> Batch:
    """Return the batch with each image distorted in its own way, as float."""
    found = dict(batch)
    for i, name in enumerate(("image", "labelled_image")):
      images = flat(batch[name]).reshape(batch[name].shape)
      form = jax.random.fold_in(key, i)
      found[name] = distort(form, images, self.distortion, self.shift)
    return found

  def output(self, logits: Array) -> Array:
    """Return the argument of the likelihood."""
    return jax.nn.sigmoid(logits) if self.likelihood.means else logits

  def bound(self, params: PyTree, x: Array, y: Array, a, q_a, key, step=None):
    """Return L(x, y) of x [B, 1, D] and one-hot y [B or 1, k, K], [B, k].

    Args:
      params: of the system.
      x: pixels.
      y: labels.
      a: a sample [B, 1, A] of q(a | x).
      q_a: q(a | x).
      key: of the noise of z, which an image's labels share.
      step: of the update, in training: the KL of z is weighed as then.
    """
    q = self.nets.infer(params, x, a, y)
    z = gaussian.reparameterise(key, q, shared=(-2,))

    # 1. PIXELS: −log p(x | y, z); for SDGM −log p(x | a, y, z).
    logvar = likelihoods.stored_logvar(self.likelihood, params, {})
    output = self.output(self.nets.generate(params, y, z, a))
    pixels = self.likelihood.nats(x, output, logvar)

    # 2. LATENTS: KL(q(z | a, x, y) ‖ N(0, I)), summed over latents.
    kl = gaussian.kl_to_prior(q)
    if step is None:
      kl = kl.sum(axis=-1)
    else:
      kl = self.kl.per_example(kl, step, self.sizes[-1])

    # 3. AUXILIARIES: E log q(a | x) − log p(a | x, y, z), where the first is
    # −½ Σ (log 2πe + log σ²); for SDGM p(a | y, z).
    entropy = 0.5 * jnp.sum(math.log(2 * math.pi) + 1.0 + q_a.logvar, axis=-1)
    p_a = self.nets.decode_auxiliary(params, x, y, z)
    auxiliaries = -entropy - gaussian.log_density(a, p_a)

    # 4. CLASSES: −log p(y) = log K.
    return pixels + kl + auxiliaries + math.log(self.sizes[1])


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a choice of config.loss is not supported.
  """
  nets = config.model
  loss = config.loss
  shape = facts.image_shape
  likelihood = few_labels.likelihood(loss, shape[-1])
  pixels = math.prod(shape)
  classes = few_labels.count_classes(facts)
  sizes = pixels, classes, nets.auxiliaries, nets.latents

  def gauss(size: int) -> dict[str, int]:
    return {"mean": size, "logvar": size}

  heads = {
    "auxiliary": gauss(nets.auxiliaries),
    "classifier": {"logits": classes},
    "inference": gauss(nets.latents),
    "partner": gauss(nets.auxiliaries),
    "generator": {"logits": pixels * likelihood.width},
  }
  networks = {name: MLP(**nets[name], heads=heads[name]) for name in BRANCHES}
  return Model(
    nets=ADGM(**networks, skip=nets.skip),
    sizes=sizes,
    shape=shape,
    **{name: loss[name] for name in ("labelled", "unlabelled", "alpha", "l2")},
    agreement=loss.get("agreement", 0.0),
    warm_up=loss.get("warm_up", 0),
    distortion=nets.get("distortion", 0.0),
    shift=nets.get("shift", 0.0),
    binarise=config.data.get("binarise", "") == "dynamic",
    likelihood=likelihood,
    kl=kl_control.read_kl_weight(loss),
  )
