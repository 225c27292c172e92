"""A VAE's two networks and the parts of its loss."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  regularisers,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import check
from cvae_jax.nets import images
from cvae_jax.nets.hierarchy import Hierarchy
from cvae_jax.nets.mlp import MLP, flat
from cvae_jax.systems.models import hierarchy, pair
from cvae_jax.types import Facts, PyTree

BRANCHES = ("encoder", "decoder")
BOUNDS = ("iwae", "dreg")  # of several samples
OBJECTIVES = ("elbo", *BOUNDS, *regularisers.NAMES, "factor")
DISCRIMINATOR = "discriminator"  # FactorVAE's branch of params


class Loss(NamedTuple):
  """The parts of the loss."""

  likelihood: likelihoods.Likelihood
  kl: kl_control.KLWeight
  binarise: bool  # draw pixels 0 or 1 from their grey values, in each step anew
  l2: float
  objective: str
  samples: int  # of its bound
  strength: float  # × the objective's term
  regulariser: regularisers.Regulariser | None

  @property
  def bound(self) -> bool:
    """Tell whether the objective is a bound of several samples."""
    return self.objective in BOUNDS


class Model(NamedTuple):
  """The two networks and the parts of their loss."""

  encoder: MLP
  decoder: MLP
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  loss: Loss
  prior: latent_priors.Prior
  discriminator: MLP | None  # of objective factor
  levels: Hierarchy | None  # both networks, where latents have several

  @property
  def counts(self) -> int | tuple[int, ...]:
    """Return Z; for a hierarchy the number of latents of each level."""
    return self.levels.sizes if self.levels else self.latents

  def posterior(self, params: PyTree, noise, x, condition) -> tuple:
    """Return q, z and the output of a hierarchy, for each row of noise."""
    found = self.levels.infer(params, x, condition, noise)
    return found.q, found.z, self._flat(found.output)

  def _flat(self, output: Array) -> Array:
    """Return an output [B, ...] as rows, means within [0, 1]."""
    rows = flat(output)
    return jax.nn.sigmoid(rows) if self.loss.likelihood.means else rows

  def encode(self, params: PyTree, x, condition, key=None) -> Gaussian:
    """Return q(z | x [B, D], condition); without a key dropout is off."""
    if self.levels:  # a level depends on the means of the levels above
      noise = jnp.zeros((x.shape[0], self.latents))
      return self.posterior(params, noise, x, condition)[0]
    variables = {"params": params["encoder"]}
    q = Gaussian(**self.encoder.apply(variables, x, condition, key))
    return self.prior.standardise(params, q, condition)

  def pseudo(self, params: PyTree) -> Callable:
    """Return (image, condition) → Gaussian, for the prior."""
    return lambda image, c: self.encode(params, flat(image), c)

  def output(self, params: PyTree, z, condition, key=None) -> Array:
    """Return p(x | z)'s parameters [B, D · width]; without a key no dropout."""
    if self.levels:
      return self._flat(self.levels.output(params, z, condition))
    variables = {"params": params["decoder"]}
    z = self.prior.place(params, z, condition)
    return self._flat(
      self.decoder.apply(variables, z, condition, key)["logits"]
    )

  def penalise_kernels(self, params: PyTree) -> Array:
    """Return l2 · Σ kernel² of the two networks, not of a prior, []."""
    nets = {name: params[name] for name in BRANCHES}
    return losses.dense_l2(nets, self.loss.l2)

  def discriminate(self, params: PyTree, z: Array) -> Array:
    """Return the logit log d / (1 − d) [B] that z is a draw of q(z)."""
    variables = {"params": params[DISCRIMINATOR]}
    return self.discriminator.apply(variables, z)["logit"][:, 0]

  def image(self, params: PyTree, z: Array, condition: Array) -> Array:
    """Return the means of the pixels as images [B, H, W, C]."""
    output = self.output(params, z, condition)
    return self.loss.likelihood.mean(output).reshape(-1, *self.shape)


def build(config, facts: Facts) -> Model:
  """Build what config.model, .loss and .prior describe.

  Raises:
    ValueError: a choice of config.loss is not supported.
  """
  shape = facts.image_shape
  loss = _read(config, shape[-1], facts.rows)
  levels = hierarchy.build(config, facts, loss.likelihood.width)
  latents = sum(levels.sizes) if levels else config.model.latents
  nets = levels or _networks(
    config.model, facts, latents, loss.likelihood.width
  )
  encoder, decoder = nets
  return Model(
    encoder=encoder,
    decoder=decoder,
    shape=shape,
    latents=latents,
    loss=loss,
    prior=latent_priors.build(config, latents, shape, facts.condition_size),
    discriminator=_discriminator(loss, config.loss),
    levels=levels,
  )


def _discriminator(loss: Loss, group) -> MLP | None:
  """Return FactorVAE's discriminator: leaky ReLU units, as the authors have."""
  if loss.objective != "factor":
    return None
  widths = tuple(group.get("discriminator", (256, 256)))
  return MLP(widths=widths, heads={"logit": 1}, activation="leaky_0.15")


def _networks(model, facts: Facts, latents: int, width: int) -> tuple:
  """Return the encoder and the decoder that config.model describes."""
  shape = facts.image_shape
  heads = {"mean": latents, "logvar": latents}
  if images.builds_itself(model):
    how = {"width": model.width, "blocks": model.blocks}
    return (
      images.Encoder(shape, heads, **how),
      images.PixelDecoder(
        shape,
        shape[-1] * width,
        **how,
        mean=facts.mean,
      ),
    )
  output = {"logits": math.prod(shape) * width}
  return (
    MLP(**model.encoder, heads=heads),
    MLP(**model.decoder, heads=output),
  )


def _read(config, channels: int, rows: int | None) -> Loss:
  group = config.loss
  objective = check(
    OBJECTIVES, group.get("objective", "elbo"), "loss.objective"
  )
  drawn = config.data.get("binarise", "") == "dynamic"
  loss = Loss(
    likelihood=likelihoods.build(group, channels, "bernoulli"),
    kl=kl_control.read_kl_weight(group),
    binarise=group.get("binarise", False) or drawn,
    l2=group.get("l2", 0.0),
    objective=objective,
    samples=group.get("samples", 1),
    strength=group.get("strength", 1.0),
    regulariser=regularisers.read(group, objective, rows),
  )
  if loss.samples < 1:
    raise ValueError(f"loss.samples is 1 or more; found {loss.samples}")
  if not loss.bound and loss.samples > 1:
    raise ValueError(
      f"loss.samples={loss.samples} are of loss.objective=iwae or dreg; found "
      f"{objective}"
    )
  if loss.bound and (loss.kl.free_bits or loss.kl.capacity):
    raise ValueError(
      "loss.kl.free_bits and capacity are of the ELBO's KL; found "
      f"loss.objective={loss.objective}, which has none"
    )
  return loss


def init_variables(
  model: Model, conditions: int, key: Array
) -> tuple[PyTree, PyTree]:
  """Draw the first parameters; return them and the first model state."""
  x = jnp.zeros((1, math.prod(model.shape)))
  params, model_state = pair.init_variables(
    model, model.loss.likelihood, x, conditions, key
  )
  if model.discriminator is not None:
    inner = jax.random.fold_in(key, len(BRANCHES) + 1)
    z = jnp.zeros((1, model.latents))
    params[DISCRIMINATOR] = model.discriminator.init(inner, z)["params"]
  return params, model_state


def note(model: Model) -> str:
  """Say what the loss is made of."""
  loss = model.loss
  pixels = type(loss.likelihood).__name__
  plain = pixels == "Bernoulli" and loss.kl.plain
  if plain and loss.objective == "elbo":
    return "loss: −ELBO in nats, Bernoulli pixels, + L2 of the kernels"
  if loss.bound:
    return (
      f"loss: −log of {loss.samples} importance weights' mean in nats "
      f"({loss.objective}), {pixels} pixels, + L2 of the kernels"
    )
  added = ""
  if loss.objective != "elbo":
    added = f" + {loss.strength:g} × {loss.objective}"
  return (
    f"loss: nats of {pixels} pixels + {loss.kl.words} in nats{added}, + L2 of "
    "the kernels"
  )
