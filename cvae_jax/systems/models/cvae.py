"""The networks of the conditional VAE, and what they compute."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import (
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  regularisers,
  schedules,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import check
from cvae_jax.nets import condition_embedding, images
from cvae_jax.nets.conditional import Decoder, Encoder
from cvae_jax.nets.hierarchy import Hierarchy
from cvae_jax.systems.models import hierarchy, pair
from cvae_jax.types import Facts, PyTree

BRANCHES = ("encoder", "decoder")


class Model(NamedTuple):
  """The two networks and the weights of the terms of their loss."""

  encoder: Encoder
  decoder: Decoder
  shape: tuple[int, ...]  # (H, W, C)
  likelihood: likelihoods.Likelihood
  kl: kl_control.KLWeight
  binarise: bool  # draw pixels 0 or 1 from their grey values, in each step anew
  l2: float | None  # × squared kernels; None: the page has no such term
  grey: optax.Schedule | None  # the weight of the grey term, likewise
  second_pass: bool  # the KL comes from a second encoder pass
  prior: latent_priors.Prior
  regulariser: regularisers.Regulariser | None  # of the batch's latents
  levels: Hierarchy | None  # both networks, where latents have several

  @property
  def latents(self) -> int:
    """Return the number of latents, Z."""
    return sum(self.levels.sizes) if self.levels else self.encoder.latents

  @property
  def counts(self) -> int | tuple[int, ...]:
    """Return Z; for a hierarchy the number of latents of each level."""
    return self.levels.sizes if self.levels else self.latents

  def posterior(self, params: PyTree, noise, image, condition) -> tuple:
    """Return q, z and the output of a hierarchy, for each row of noise."""
    found = self.levels.infer(params, image, condition, noise)
    return found.q, found.z, self._bound_output(found.output)

  def encode(self, params: PyTree, image, condition, key=None) -> Gaussian:
    """Return q(z | image, condition); without a key dropout is off."""
    if self.levels:  # a level depends on the means of the levels above
      noise = jnp.zeros((image.shape[0], self.latents))
      return self.posterior(params, noise, image, condition)[0]
    variables = {"params": params["encoder"]}
    q = self.encoder.apply(variables, image, condition, key)
    return self.prior.standardise(params, q, condition)

  def penalise_kernels(self, params: PyTree) -> Array:
    """Return l2 · Σ kernel² of the two networks, not of a prior, []."""
    nets = {name: params[name] for name in BRANCHES}
    return losses.kernel_l2(nets, self.l2)

  def draw(self, params: PyTree, key: Array, count: int) -> Array:
    """Draw z [count, Z] of the prior; `key` is not used as it is."""
    key = jax.random.fold_in(key, 2)
    return self.prior.draw(params, key, count, self.pseudo(params))

  def pseudo(self, params: PyTree) -> Callable:
    """Return (image, condition) → Gaussian, for the prior."""
    return functools.partial(self.encode, params)

  def output(self, params: PyTree, z, condition, key=None) -> Array:
    """Return the parameters of p(x | z); without a key dropout is off."""
    if self.levels:
      return self._bound_output(self.levels.output(params, z, condition))
    variables = {"params": params["decoder"]}
    z = self.prior.place(params, z, condition)
    return self.decoder.apply(variables, z, condition, key)

  def _bound_output(self, output: Array) -> Array:
    """Bound a hierarchy's output as ImageDecoder bounds its own."""
    return jax.nn.sigmoid(output) if self.likelihood.means else output

  def decode(self, params: PyTree, z, condition) -> Array:
    """Return the images of z [B, Z]."""
    return self.image(self.output(params, z, condition))

  def image(self, output: Array) -> Array:
    """Return the mean image of an output."""
    if self.likelihood.means:
      return output
    mean = self.likelihood.mean(likelihoods.flat(output))
    return mean.reshape(-1, *self.shape)


def build(config, facts: Facts) -> Model:
  """Build the networks that config.model and .loss describe.

  Raises:
    ValueError: a choice is not supported, or two do not fit together.
  """
  shape = facts.image_shape
  likelihood = likelihoods.build(config.loss, shape[-1], "gaussian")
  levels = hierarchy.build(config, facts, likelihood.width)
  nets = levels or _networks(config.model, facts, likelihood)
  encoder, decoder = nets
  latents = sum(levels.sizes) if levels else encoder.latents
  prior = latent_priors.build(config, latents, shape, facts.condition_size)
  second_pass = config.loss.get("kl_of_second_pass", False)
  if second_pass and prior.sampled:
    raise ValueError(
      "loss.kl_of_second_pass is of a prior with a KL in closed form: "
      f"prior.name is standard or conditional; found {config.prior.name}"
    )
  return Model(
    encoder=encoder,
    decoder=decoder,
    shape=shape,
    likelihood=likelihood,
    kl=kl_control.read_kl_weight(config.loss),
    binarise=config.data.get("binarise", "") == "dynamic",
    l2=config.loss.get("l2"),
    grey=_grey_weight(config.loss),
    second_pass=second_pass,
    prior=prior,
    regulariser=_regulariser(config.loss, facts.rows),
    levels=levels,
  )


def _grey_weight(loss) -> optax.Schedule | None:
  """Return the weight of the grey term by the step, None without the term."""
  if "grey" not in loss:
    return None
  return schedules.delayed_weight(loss.grey, loss.get("grey_start", 0))


def _regulariser(loss, rows: int | None) -> regularisers.Regulariser | None:
  """Return the term that the objective adds to −ELBO, None without one.

  Raises:
    ValueError: the objective is one that only a vae has.
  """
  names = ("elbo", *regularisers.NAMES)
  what = "loss.objective of a cvae (a vae has more)"
  name = check(names, loss.get("objective", "elbo"), what)
  return regularisers.read(loss, name, rows)


def _networks(model, facts: Facts, likelihood) -> tuple:
  """Return the encoder and the decoder that config.model describes."""
  if images.builds_itself(model):
    # A run that was begun before there were harmonics has none.
    angles = condition_embedding.angles(
      facts.attributes, model.get("harmonics", 1)
    )
    how = {"width": model.width, "blocks": model.blocks, "angles": angles}
    encoder = images.GaussianEncoder(facts.image_shape, model.latents, **how)
    decoder = images.ImageDecoder(
      facts.image_shape,
      **how,
      outputs=likelihood.width,
      bounded=likelihood.means,
      mean=facts.mean,
    )
    return encoder, decoder
  settings = likelihoods.decoder(likelihood, model.decoder)
  if not likelihood.means:
    settings["last"] = "linear"
  return Encoder(**model.encoder), Decoder(**settings)


def init_variables(
  model: Model, conditions: int, key: Array
) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state."""
  image = jnp.zeros((1, *model.shape))
  return pair.init_variables(model, model.likelihood, image, conditions, key)
