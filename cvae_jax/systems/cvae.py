"""Conditional VAE with squared error (Sohn et al. 2015): digits and faces.

The loss of one example is

    w · Σ (x − x̂)² + KL(q(z | x, c) ‖ N(0, I)) + grey(step) · Σ x̂ (1 − x̂)

and once a step l2 · Σ kernel². Every term is logged alone. With the weight w
the first two terms are −ELBO up to a constant, under p(x | z) = N(x̂, 1/(2w)).
So the ELBO in nats is logged beside them. With config.loss another likelihood
takes the first term's place, and β, warm-up and free bits weigh the second.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import (
  gaussian,
  kl_control,
  latent_priors,
  likelihoods,
  losses,
  optim,
  parts,
  regularisers,
  schedules,
  update,
)
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.method.names import checked
from cvae_jax.nets import images
from cvae_jax.nets.conditional import Decoder, Encoder
from cvae_jax.nets.mlp import binary
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


class Model(NamedTuple):
  """The two networks and what weighs the terms of their loss."""

  encoder: Encoder
  decoder: Decoder
  shape: tuple[int, ...]  # (H, W, C)
  likelihood: likelihoods.Likelihood
  kl: kl_control.Control
  binarise: bool  # pixels are drawn anew from their grey values each time
  l2: float
  grey: optax.Schedule
  second_pass: bool  # the KL is of another encoder pass than z
  prior: latent_priors.Prior
  regulariser: regularisers.Regulariser | None  # of the batch's latents

  def encode(self, params: PyTree, image, condition, key=None) -> Gaussian:
    """Return q(z | image, condition); without a key dropout is off."""
    variables = {"params": params["encoder"]}
    q = self.encoder.apply(variables, image, condition, key)
    return self.prior.standardise(params, q, condition)

  def pseudo(self, params: PyTree) -> Callable:
    """Return (image, condition) → Gaussian, for the prior."""
    return functools.partial(self.encode, params)

  def output(self, params: PyTree, z, condition, key=None) -> Array:
    """Return what p(x | z) is of; without a key dropout is off."""
    variables = {"params": params["decoder"]}
    z = self.prior.place(params, z, condition)
    return self.decoder.apply(variables, z, condition, key)

  def decode(self, params: PyTree, z, condition) -> Array:
    """Return the images of z [B, Z]."""
    return self.image(self.output(params, z, condition))

  def image(self, output: Array) -> Array:
    """Return the mean image of an output."""
    if self.likelihood.means:
      return output
    mean = self.likelihood.mean(likelihoods.flat(output))
    return mean.reshape(-1, *self.shape)

  def nats(self, image: Array, output: Array, scale: Array | None) -> Array:
    """Return −log p(image | z) [B] of the decoder's output."""
    likelihoods.check(self.likelihood, image, output)
    return self.likelihood.nats(
      likelihoods.flat(image), likelihoods.flat(output), scale
    )


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: config.loss asks for what there is not; so does a squared
      error without a weight above 0: it is no likelihood.
  """
  model = _model(config, facts)
  likelihood = model.likelihood
  lr = schedules.learning_rate(config.optim)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim, lr),
      owns=BRANCHES + likelihoods.branches(likelihood) + model.prior.branches,
    )
  }
  conditions = facts.conditions

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
    render=functools.partial(_render, model),
    encode=lambda state, image, c: model.encode(state.params, image, c),
    decode=lambda state, z, c: model.decode(state.params, z, c),
    nats=functools.partial(likelihoods.nats_of_images, likelihood),
    outputs=likelihoods.make_outputs(likelihood, output),
    observe=binary if model.binarise else None,
    draw=draw if sampled else None,
    log_prior=log_prior if sampled else None,
    latents=model.encoder.latents,
    schedules={"learning_rate": lr, "grey_weight": model.grey}
    | kl_control.schedule(model.kl),
    notes=_notes(model),
  )


def _model(config, facts: Facts) -> Model:
  shape = facts.image_shape
  likelihood = likelihoods.build(config.loss, shape[-1], "gaussian")
  encoder, decoder = _networks(config.model, facts, likelihood)
  return Model(
    encoder=encoder,
    decoder=decoder,
    shape=shape,
    likelihood=likelihood,
    kl=kl_control.control(config.loss),
    binarise=config.data.get("binarise", "") == "dynamic",
    l2=config.loss.get("l2", 0.0),
    grey=schedules.delayed(
      config.loss.get("grey", 0.0), config.loss.get("grey_start", 0)
    ),
    second_pass=config.loss.get("kl_of_second_pass", False),
    prior=latent_priors.build(config, encoder.latents, shape, facts.conditions),
    regulariser=_regulariser(config.loss, facts.rows),
  )


def _regulariser(loss, rows: int | None) -> regularisers.Regulariser | None:
  """Return what the objective adds to −ELBO, if anything.

  Raises:
    ValueError: the objective is one that only a vae has.
  """
  names = ("elbo", *regularisers.NAMES)
  what = "loss.objective of a cvae (a vae has more)"
  name = checked(names, loss.get("objective", "elbo"), what)
  return regularisers.read(loss, name, rows)


def _networks(model, facts: Facts, likelihood) -> tuple:
  """Return the encoder and the decoder that config.model describes."""
  if images.builds_itself(model):
    how = {"width": model.width, "blocks": model.blocks}
    encoder = images.GaussianEncoder(facts.image_shape, model.latents, **how)
    decoder = images.ImageDecoder(
      facts.image_shape,
      **how,
      outputs=likelihood.width,
      bounded=likelihood.means,
    )
    return encoder, decoder
  settings = likelihoods.decoder(likelihood, model.decoder)
  if not likelihood.means:
    settings["last"] = "linear"
  return Encoder(**model.encoder), Decoder(**settings)


def _state(model: Model, conditions: int, key: Array) -> tuple[PyTree, PyTree]:
  condition = jnp.zeros((1, conditions))
  z = jnp.zeros((1, model.encoder.latents))
  image = jnp.zeros((1, *model.shape))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  params, _ = parts.init_branches(
    nets, key, encoder=(image, condition), decoder=(z, condition)
  )
  branch, model_state = likelihoods.begin(model.likelihood)
  branch |= model.prior.begin(jax.random.fold_in(key, len(nets)))
  return params | branch, model_state


class _Found(NamedTuple):
  """What a forward pass finds."""

  image: Array  # the target
  output: Array  # its mean image
  kl: Array  # [B, Z]
  terms: Metrics  # each [B]
  model_state: PyTree
  q: Gaussian  # that z is of
  z: Array  # [B, Z]


def _forward(
  model: Model,
  params,
  model_state,
  batch: Batch,
  noise,
  drop=(None, None),
  second=None,
  step=None,
) -> _Found:
  """Return the target, the output and the terms of the loss.

  With a `second` key the KL is of another encoder pass with other dropout
  masks than those that z came from. Keras's graph mode did this in the
  original experiment. With a step it is a pass of training.
  """
  image = batch["image"].astype(jnp.float32) / 255.0
  condition = batch["condition"]
  if model.binarise:
    image = binary(jax.random.fold_in(noise, 1), image)
  q = model.encode(params, image, condition, drop[0])
  first, z = q, gaussian.reparameterise(noise, q)
  output = model.output(params, z, condition, drop[1])
  if step is None:
    scale = likelihoods.scale(model.likelihood, params, model_state)
  else:
    likelihoods.check(model.likelihood, image, output)
    flat = likelihoods.flat(image), likelihoods.flat(output)
    scale, model_state = likelihoods.fit(
      model.likelihood, params, model_state, *flat, step
    )

  # 1. RECONSTRUCTION: w · Σ (x − x̂)², summed over pixels and channels; of
  # another likelihood −log p(x | z, c).
  nats = model.nats(image, output, scale)
  terms = {}
  if isinstance(model.likelihood, likelihoods.Gaussian):
    weight = model.likelihood.weight
    squared_error = weight * losses.squared_error(image, output)
    terms["weighted_squared_error"] = squared_error
  else:
    terms["reconstruction"] = nats

  # 2. LATENTS: KL(q(z | x, c) ‖ p(z)), summed over latents.
  if second is not None:
    q = model.encode(params, image, condition, second)
  each = model.prior.kl(params, q, z, model.pseudo(params))
  kl = each.sum(axis=-1)

  # 3. GREY: Σ x̂ (1 − x̂), which draws pixels to black or white. Its weight
  # depends on the step, so it is multiplied later.
  mean = model.image(output)
  grey = losses.grey_level(mean)

  elbo = -nats - kl
  terms |= {"kl": kl, "grey": grey, "elbo": elbo}
  terms |= likelihoods.bits(model.likelihood, elbo, model.shape)
  return _Found(image, mean, each, terms, model_state, first, z)


def _reconstruction(terms: Metrics) -> Array:
  """Return the first term of the loss, under either of its names."""
  return terms.get("weighted_squared_error", terms.get("reconstruction"))


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop, second = (jax.random.fold_in(key, i) for i in range(4))
  second = second if model.second_pass else None
  found = _forward(model, params, model_state, batch, noise, drop, second, step)
  terms = parts.means(found.terms)
  terms["grey"] *= model.grey(step)

  # 4. KERNELS: l2 · Σ kernel² of the convolutions, once a step.
  terms["l2"] = model.l2 * losses.kernel_l2(params)

  kl = terms["kl"]
  if not model.kl.plain:
    kl = model.kl.penalty(found.kl, step, model.encoder.latents)
  total = _reconstruction(terms) + kl + terms["grey"] + terms["l2"]

  # 5. REGULARISER: of the batch's latents, by the objective's name.
  if (regulariser := model.regulariser) is not None:
    draw = functools.partial(_draw, model, params, noise, len(found.z))
    added = regulariser.terms(found.z, found.q, draw)
    terms |= added
    total += regulariser.strength * sum(added.values())
  return total, (terms, found.model_state)


def _draw(model: Model, params: PyTree, key: Array, count: int) -> Array:
  """Draw z [count, Z] of the prior, other noise than of `key` itself."""
  encode = model.pseudo(params)
  return model.prior.draw(params, jax.random.fold_in(key, 2), count, encode)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  found = _forward(model, state.params, state.model_state, batch, key)
  terms = found.terms
  terms["grey"] *= model.grey(state.step)
  kl = terms["kl"]
  if not model.kl.plain:
    kl = model.kl.of_each(found.kl, state.step, model.encoder.latents)
  total = _reconstruction(terms) + kl + terms["grey"]
  psnr = losses.psnr(found.image, found.output)
  return {"loss": total, **terms, "psnr": psnr}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pair targets with reconstructions; draw fixed styles under a panel."""
  found = _forward(model, state.params, state.model_state, batch, key)
  styles = parts.STYLES
  options = panel.shape[0]
  encode = model.pseudo(state.params)
  z = model.prior.draw(state.params, key, styles, encode)
  z = jnp.repeat(z, options, axis=0)
  drawn = model.decode(state.params, z, jnp.tile(panel, (styles, 1)))
  return {
    "reconstruction": jnp.stack([found.image, found.output]),
    "conditions": drawn.reshape(styles, options, *model.shape),
  }


def _notes(model: Model) -> tuple[str, ...]:
  """Say what the weights of squared error and KL amount to."""
  size = math.prod(model.shape)
  if not isinstance(model.likelihood, likelihoods.Gaussian):
    return (
      f"reconstruction: nats of {type(model.likelihood).__name__} values, "
      "KL summed over latents, both averaged over the batch",
    )
  weight = model.likelihood.weight
  return (
    f"reconstruction: {weight:g} × squared error summed over {size} values, "
    "KL summed over latents, both averaged over the batch",
    f"= −ELBO in nats − {0.5 * size * math.log(math.pi / weight):.2f} with "
    f"p(x|z) = N(x̂, {1 / (2 * weight):g}); relative to ½·SSE + β·KL, "
    f"β = {1 / (2 * weight):g}",
  )
