"""Conditional VAE with squared error (Sohn et al. 2015): digits and faces.

The loss of one example is

    w · Σ (x − x̂)² + KL(q(z | x, c) ‖ N(0, I)) + grey(step) · Σ x̂ (1 − x̂)

and once a step l2 · Σ kernel². Every term is logged alone. With the weight w
the first two terms are −ELBO up to a constant, under p(x | z) = N(x̂, 1/(2w)).
So the ELBO in nats is logged beside them.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, schedules, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.conditional import Decoder, Encoder
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
  weight: float  # of the squared error, summed over the image
  l2: float
  grey: optax.Schedule
  second_pass: bool  # the KL is of another encoder pass than z

  def encode(self, params: PyTree, image, condition, key=None) -> Gaussian:
    """Return q(z | image, condition); without a key dropout is off."""
    variables = {"params": params["encoder"]}
    return self.encoder.apply(variables, image, condition, key)

  def decode(self, params: PyTree, z, condition, key=None) -> Array:
    """Return the images of z [B, Z]; without a key dropout is off."""
    variables = {"params": params["decoder"]}
    return self.decoder.apply(variables, z, condition, key)

  def nats(self, image: Array, output: Array) -> Array:
    """Return −log p(image | z) [B] of the decoder's output."""
    sse = losses.squared_error(image, output)
    return losses.gaussian_nats(sse, math.prod(self.shape), self.weight)


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: the squared error has no weight above 0: no likelihood.
  """
  if config.loss.mse <= 0:
    raise ValueError(f"loss.mse is above 0; found {config.loss.mse}")
  model = Model(
    encoder=Encoder(**config.model.encoder),
    decoder=Decoder(**config.model.decoder),
    shape=facts.image_shape,
    weight=config.loss.mse,
    l2=config.loss.l2,
    grey=schedules.delayed(config.loss.grey, config.loss.grey_start),
    second_pass=config.loss.get("kl_of_second_pass", False),
  )
  lr = schedules.learning_rate(config.optim)
  players = {
    "model": Player(
      loss=functools.partial(_loss, model),
      tx=optim.build(config.optim, lr),
      owns=BRANCHES,
    )
  }
  conditions = facts.conditions
  return System(
    init=lambda key: update.init_state(
      players, _parameters(model, conditions, key)
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (conditions,)},
    render=functools.partial(_render, model),
    encode=lambda state, image, c: model.encode(state.params, image, c),
    decode=lambda state, z, c: model.decode(state.params, z, c),
    nats=model.nats,
    latents=model.encoder.latents,
    schedules={"learning_rate": lr, "grey_weight": model.grey},
    notes=_notes(model.weight, math.prod(model.shape)),
  )


def _parameters(model: Model, conditions: int, key: Array) -> PyTree:
  condition = jnp.zeros((1, conditions))
  z = jnp.zeros((1, model.encoder.latents))
  image = jnp.zeros((1, *model.shape))
  nets = {"encoder": model.encoder, "decoder": model.decoder}
  params, _ = parts.init_branches(
    nets, key, encoder=(image, condition), decoder=(z, condition)
  )
  return params


def _forward(
  model: Model, params, batch: Batch, noise, drop=(None, None), second=None
) -> tuple[Array, Array, Metrics]:
  """Return the target, the output and the terms of the loss, each [B].

  With a `second` key the KL is of another encoder pass with other dropout
  masks than those that z came from. Keras's graph mode did this in the
  original experiment.
  """
  image = batch["image"].astype(jnp.float32) / 255.0
  condition = batch["condition"]
  q = model.encode(params, image, condition, drop[0])
  z = gaussian.reparameterise(noise, q)
  output = model.decode(params, z, condition, drop[1])

  # 1. RECONSTRUCTION: w · Σ (x − x̂)², summed over pixels and channels.
  reconstruction = model.weight * losses.squared_error(image, output)

  # 2. LATENTS: KL(q(z | x, c) ‖ N(0, I)), summed over latents.
  if second is not None:
    q = model.encode(params, image, condition, second)
  kl = gaussian.kl_to_prior(q).sum(axis=-1)

  # 3. GREY: Σ x̂ (1 − x̂), which draws pixels to black or white. Its weight
  # depends on the step, so it is multiplied later.
  grey = losses.grey_level(output)

  terms = {
    "weighted_squared_error": reconstruction,
    "kl": kl,
    "grey": grey,
    "elbo": -model.nats(image, output) - kl,
  }
  return image, output, terms


def _loss(model: Model, params, model_state, batch: Batch, key, step):
  noise, *drop, second = (jax.random.fold_in(key, i) for i in range(4))
  second = second if model.second_pass else None
  _, _, terms = _forward(model, params, batch, noise, drop, second)
  terms = parts.means(terms)
  terms["grey"] *= model.grey(step)

  # 4. KERNELS: l2 · Σ kernel² of the convolutions, once a step.
  terms["l2"] = model.l2 * losses.kernel_l2(params)

  total = terms["weighted_squared_error"] + terms["kl"] + terms["grey"]
  return total + terms["l2"], (terms, model_state)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  image, output, terms = _forward(model, state.params, batch, key)
  terms["grey"] *= model.grey(state.step)
  total = terms["weighted_squared_error"] + terms["kl"] + terms["grey"]
  return {"loss": total, **terms, "psnr": losses.psnr(image, output)}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pair targets with reconstructions; draw fixed styles under a panel."""
  image, output, _ = _forward(model, state.params, batch, key)
  styles = parts.STYLES
  options = panel.shape[0]
  z = jax.random.normal(key, (styles, model.encoder.latents))
  z = jnp.repeat(z, options, axis=0)
  drawn = model.decode(state.params, z, jnp.tile(panel, (styles, 1)))
  return {
    "reconstruction": jnp.stack([image, output]),
    "conditions": drawn.reshape(styles, options, *model.shape),
  }


def _notes(weight: float, size: int) -> tuple[str, ...]:
  """Say what the weights of squared error and KL amount to."""
  return (
    f"reconstruction: {weight:g} × squared error summed over {size} values, "
    "KL summed over latents, both averaged over the batch",
    f"= −ELBO in nats − {0.5 * size * math.log(math.pi / weight):.2f} with "
    f"p(x|z) = N(x̂, {1 / (2 * weight):g}); relative to ½·SSE + β·KL, "
    f"β = {1 / (2 * weight):g}",
  )
