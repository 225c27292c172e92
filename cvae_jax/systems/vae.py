"""VAE on flat images; with a condition it is the supervised CVAE.

Kingma and Welling 2014, and M2 of Kingma et al. 2014 where every label is
known. Which condition, or none, is a choice of the data. The loss of one
example, with sums over pixels and latents, is

    −log p(x | z, c) + β · KL(q(z | x, c) ‖ p(z)) + l2 · Σ kernel²

with Bernoulli pixels, β 1 and p(z) = N(0, I), unless config.loss and
config.prior say otherwise. The last
term is a prior N(0, 1 / (2 l2)) on the kernels. With `objective` iwae or dreg
the first two are replaced by −log (1/k) Σ p(x | z) p(z) / q(z | x) over k
samples (Burda et al. 2016).
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import (
  gaussian,
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  objectives,
  optim,
  parts,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import checked
from cvae_jax.nets import images
from cvae_jax.nets.mlp import MLP, binary, flat
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)

BRANCHES = ("encoder", "decoder")
OBJECTIVES = ("elbo", "iwae", "dreg")


class Loss(NamedTuple):
  """What the loss is made of."""

  likelihood: likelihoods.Likelihood
  kl: kl_control.Control
  binarise: bool  # pixels are drawn anew from their grey values each time
  l2: float
  objective: str
  samples: int  # of its bound


class Model(NamedTuple):
  """The two networks and what their loss is made of."""

  encoder: MLP
  decoder: MLP
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  loss: Loss
  prior: latent_priors.Prior

  def encode(self, params: PyTree, x, condition, key=None) -> Gaussian:
    """Return q(z | x [B, D], condition); without a key dropout is off."""
    variables = {"params": params["encoder"]}
    q = Gaussian(**self.encoder.apply(variables, x, condition, key))
    return self.prior.standardise(params, q, condition)

  def pseudo(self, params: PyTree) -> Callable:
    """Return (image, condition) → Gaussian, for the prior."""
    return lambda image, c: self.encode(params, flat(image), c)

  def output(self, params: PyTree, z, condition, key=None) -> Array:
    """Return what p(x | z) is of, [B, D · width]; without a key no dropout."""
    variables = {"params": params["decoder"]}
    z = self.prior.place(params, z, condition)
    found = self.decoder.apply(variables, z, condition, key)["logits"]
    return jax.nn.sigmoid(found) if self.loss.likelihood.means else found

  def image(self, params: PyTree, z: Array, condition: Array) -> Array:
    """Return the means of the pixels as images [B, H, W, C]."""
    output = self.output(params, z, condition)
    return self.loss.likelihood.mean(output).reshape(-1, *self.shape)


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe.

  Raises:
    ValueError: config.loss asks for what there is not.
  """
  model = _model(config, facts)
  likelihood = model.loss.likelihood
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim),
      owns=BRANCHES + likelihoods.branches(likelihood) + model.prior.branches,
    )
  }
  conditions = facts.conditions

  def encode(state: TrainState, image: Array, condition: Array) -> Gaussian:
    return model.encode(state.params, flat(image), condition)

  def decode(state: TrainState, z: Array, condition: Array) -> Array:
    return model.image(state.params, z, condition)

  def output(state: TrainState, z: Array, condition: Array) -> Array:
    return model.output(state.params, z, condition)

  draw, log_prior = latent_priors.functions(model.prior, model.pseudo)
  sampled = model.prior.sampled
  return System(
    init=lambda key: update.init_state(
      players, *_state(model, conditions, key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=parts.make_render(encode, decode, draw=draw),
    encode=encode,
    decode=decode,
    nats=functools.partial(likelihoods.nats_of_images, likelihood),
    outputs=likelihoods.make_outputs(likelihood, output),
    observe=binary if model.loss.binarise else None,
    draw=draw if sampled else None,
    log_prior=log_prior if sampled else None,
    latents=model.latents,
    schedules=optim.logged(config.optim) | kl_control.schedule(model.loss.kl),
    notes=(_note(model),),
  )


def _model(config, facts: Facts) -> Model:
  shape = facts.image_shape
  latents = config.model.latents
  heads = {"mean": latents, "logvar": latents}
  loss = _read(config, shape[-1])
  encoder, decoder = _networks(
    config.model, shape, heads, loss.likelihood.width
  )
  return Model(
    encoder=encoder,
    decoder=decoder,
    shape=shape,
    latents=latents,
    loss=loss,
    prior=latent_priors.build(config, latents, shape, facts.conditions),
  )


def _networks(model, shape: tuple, heads: dict, width: int) -> tuple:
  """Return the encoder and the decoder that config.model describes."""
  if images.builds_itself(model):
    how = {"width": model.width, "blocks": model.blocks}
    return (
      images.Encoder(shape, heads, **how),
      images.PixelDecoder(shape, shape[-1] * width, **how),
    )
  output = {"logits": math.prod(shape) * width}
  return (
    MLP(**model.encoder, heads=heads),
    MLP(**model.decoder, heads=output),
  )


def _read(config, channels: int) -> Loss:
  group = config.loss
  drawn = config.data.get("binarise", "") == "dynamic"
  loss = Loss(
    likelihood=likelihoods.build(group, channels, "bernoulli"),
    kl=kl_control.control(group),
    binarise=group.get("binarise", False) or drawn,
    l2=group.get("l2", 0.0),
    objective=checked(
      OBJECTIVES, group.get("objective", "elbo"), "loss.objective"
    ),
    samples=group.get("samples", 1),
  )
  if loss.samples < 1:
    raise ValueError(f"loss.samples is 1 or more; found {loss.samples}")
  if loss.objective == "elbo" and loss.samples > 1:
    raise ValueError(
      f"loss.samples={loss.samples} are of loss.objective=iwae or dreg; found "
      "elbo"
    )
  if loss.objective != "elbo" and (loss.kl.free_bits or loss.kl.capacity):
    raise ValueError(
      "loss.kl.free_bits and capacity are of the ELBO's KL; found "
      f"loss.objective={loss.objective}, which has none"
    )
  return loss


def _state(model: Model, conditions: int, key: Array) -> tuple[PyTree, PyTree]:
  condition = jnp.zeros((1, conditions))
  x = jnp.zeros((1, math.prod(model.shape)))
  z = jnp.zeros((1, model.latents))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  params, _ = parts.init_branches(
    nets, key, encoder=(x, condition), decoder=(z, condition)
  )
  branch, model_state = likelihoods.begin(model.loss.likelihood)
  branch |= model.prior.begin(jax.random.fold_in(key, len(nets)))
  return params | branch, model_state


class _Terms(NamedTuple):
  """What a forward pass finds."""

  x: Array  # [B, D], the target
  output: Array  # [B, D · width]
  kl: Array  # [B, Z]
  terms: Metrics  # each [B]
  model_state: PyTree


def _forward(
  model: Model, params, model_state, batch: Batch, key, drop=None, step=None
) -> _Terms:
  """Return what the ELBO is made of; with a step, in training."""
  noise, pixels = jax.random.split(key)
  drop = drop or (None, None)
  likelihood = model.loss.likelihood
  x = flat(batch["image"])
  condition = batch["condition"]
  if model.loss.binarise:
    x = binary(pixels, x)
  q = model.encode(params, x, condition, drop[0])
  z = gaussian.reparameterise(noise, q)
  output = model.output(params, z, condition, drop[1])
  if step is None:
    scale = likelihoods.scale(likelihood, params, model_state)
  else:
    scale, model_state = likelihoods.fit(
      likelihood, params, model_state, x, output, step
    )

  # 1. RECONSTRUCTION: −log p(x | z, c), summed over pixels; of Bernoulli
  # pixels the binary cross-entropy.
  reconstruction = likelihood.nats(x, output, scale)

  # 2. LATENTS: KL(q(z | x, c) ‖ p(z)), in closed form if p(z) is a Gaussian,
  # summed over latents.
  each = model.prior.kl(params, q, z, model.pseudo(params))
  kl = each.sum(axis=-1)

  elbo = -reconstruction - kl
  terms = {"reconstruction": reconstruction, "kl": kl, "elbo": elbo}
  terms |= likelihoods.bits(likelihood, elbo, model.shape)
  return _Terms(x, output, each, terms, model_state)


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop = (jax.random.fold_in(key, i) for i in range(3))
  if model.loss.objective != "elbo":
    return _bound_loss(model, params, model_state, batch, noise, drop, step)
  found = _forward(model, params, model_state, batch, noise, drop, step)
  terms = parts.means(found.terms)

  # 3. KERNELS: l2 · Σ kernel², once a step.
  terms["l2"] = model.loss.l2 * losses.dense_l2(params)

  kl = model.loss.kl
  if kl.plain:
    return terms["l2"] - terms["elbo"], (terms, found.model_state)
  penalty = kl.penalty(found.kl, step, model.latents)
  total = terms["reconstruction"] + penalty + terms["l2"]
  return total, (terms, found.model_state)


def _bound_loss(
  model: Model, params, model_state, batch: Batch, key, drop, step
):
  """Return −log (1/k) Σ w of k samples; log w = −nats + β (log p − log q)."""
  noise, pixels = jax.random.split(key)
  count, likelihood = model.loss.samples, model.loss.likelihood
  x, condition = flat(batch["image"]), batch["condition"]
  if model.loss.binarise:
    x = binary(pixels, x)
  q = model.encode(params, x, condition, drop[0])
  doubly = model.loss.objective == "dreg"
  wide_q = jax.tree.map(lambda a: a[None], q)
  fixed = jax.lax.stop_gradient(wide_q) if doubly else wide_q
  noise = jax.random.normal(noise, (count, *q.mean.shape))
  z = wide_q.mean + jnp.exp(0.5 * wide_q.logvar) * noise
  wide = jnp.tile(condition, (count, 1))

  def output(z: Array) -> Array:
    rows = z.reshape(-1, model.latents)
    found = model.output(params, rows, wide, drop[1])
    return found.reshape(count, len(x), -1)

  # Sigma's variance is that of the first sample of each image.
  first = output(z)[0]
  scale, model_state = likelihoods.fit(
    likelihood, params, model_state, x, first, step
  )
  weight = model.loss.kl.weight(step)

  def log_weights(z: Array) -> Array:
    kl = gaussian.log_density(z, fixed)
    kl -= model.prior.log_density(params, z, model.pseudo(params))
    return -likelihood.nats(x[None], output(z), scale) - weight * kl

  if doubly:
    bound = objectives.doubly_reparameterised(log_weights, z)
  else:
    bound = objectives.importance_bound(log_weights(z))
  kl = model.prior.kl(params, q, z[0], model.pseudo(params)).sum(axis=-1)
  nats = likelihood.nats(x, first, scale)
  terms = {"reconstruction": nats, "kl": kl, "elbo": -nats - kl, "bound": bound}
  terms |= likelihoods.bits(likelihood, terms["elbo"], model.shape)
  terms = parts.means(terms)
  terms["l2"] = model.loss.l2 * losses.dense_l2(params)
  return terms["l2"] - terms["bound"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  found = _forward(model, state.params, state.model_state, batch, key)
  terms, kl = found.terms, model.loss.kl
  loss = -terms["elbo"]
  if not kl.plain:
    penalty = kl.of_each(found.kl, state.step, model.latents)
    loss = terms["reconstruction"] + penalty
  psnr = losses.psnr(found.x, model.loss.likelihood.mean(found.output))
  return {"loss": loss, **terms, "psnr": psnr}


def _note(model: Model) -> str:
  """Say what the loss is made of."""
  loss = model.loss
  pixels = type(loss.likelihood).__name__
  if loss == Loss(
    likelihoods.Bernoulli(), kl_control.Control(), *loss[2:4], "elbo", 1
  ):
    return "loss: −ELBO in nats, Bernoulli pixels, + L2 of the kernels"
  if loss.objective != "elbo":
    return (
      f"loss: −log of {loss.samples} importance weights' mean in nats "
      f"({loss.objective}), {pixels} pixels, + L2 of the kernels"
    )
  return (
    f"loss: nats of {pixels} pixels + {loss.kl} of the KL in nats, + L2 of the "
    "kernels"
  )
