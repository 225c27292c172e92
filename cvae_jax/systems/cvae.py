"""Conditional VAE with squared error (Sohn et al. 2015; specs digits, faces).

Loss of one example: mse · SSE + KL + grey(step) · Σ v(1 − v), and once a step
l2 · Σ kernel²; every term is also logged alone. With weight w on the squared
error the first two are −ELBO up to a constant under p(x | z) = N(x̂, 1/(2w)),
so the ELBO in nats is logged beside them.
"""

import math

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import gaussian, losses, schedules, update
from cvae_jax.nets.conditional import Decoder, Encoder
from cvae_jax.types import Batch, Metrics, Player, System, TrainState


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes."""
  encoder = Encoder(**config.model.encoder)
  decoder = Decoder(**config.model.decoder)
  shape, conditions = tuple(config.data.image_shape), config.data.conditions
  weight, l2 = config.loss.mse, config.loss.l2
  grey = schedules.delayed(config.loss.grey, config.loss.grey_start)
  lr = schedules.learning_rate(config.optim)
  two_passes = config.loss.get("kl_of_second_pass", False)

  def encode(params, image, condition, key=None):
    return encoder.apply({"params": params["encoder"]}, image, condition, key)

  def decode(params, z, condition, key=None):
    return decoder.apply({"params": params["decoder"]}, z, condition, key)

  def nats(image, output):
    sse = losses.squared_error(image, output)
    return losses.gaussian_nats(sse, math.prod(shape), weight)

  def forward(params, batch: Batch, noise, drop=(None, None), second=None):
    """Gives the target, the output and the terms of the loss, each [B].

    With a `second` key the KL is that of another encoder pass, of other
    dropout masks than z's: what Keras's graph mode made of the source.
    """
    image = _unit(batch["image"])
    q = encode(params, image, batch["condition"], drop[0])
    z = gaussian.reparameterise(noise, q)
    output = decode(params, z, batch["condition"], drop[1])
    if second is not None:
      q = encode(params, image, batch["condition"], second)
    kl = gaussian.kl_to_prior(q).sum(axis=-1)
    terms = {
      "mse": weight * losses.squared_error(image, output),
      "kl": kl,
      "grey": losses.grey_level(output),
      "elbo": -nats(image, output) - kl,
    }
    return image, output, terms

  def loss(params, model_state, batch, key, step):
    noise, *drop, second = (jax.random.fold_in(key, i) for i in range(4))
    second = second if two_passes else None
    _, _, terms = forward(params, batch, noise, drop, second)
    terms = {name: term.mean() for name, term in terms.items()}
    terms["grey"] *= grey(step)
    terms["l2"] = l2 * losses.kernel_l2(params)
    total = terms["mse"] + terms["kl"] + terms["grey"] + terms["l2"]
    return total, (terms, model_state)

  def evaluate(state: TrainState, batch: Batch, key: Array) -> Metrics:
    image, output, terms = forward(state.params, batch, key)
    terms["grey"] *= grey(state.step)
    total = terms["mse"] + terms["kl"] + terms["grey"]
    psnr = losses.psnr(image, output)
    return {"loss": total, **terms, "psnr": psnr}

  def render(state: TrainState, batch: Batch, panel: Array, key: Array):
    """Pairs targets with reconstructions; fixed styles under a panel."""
    image, output, _ = forward(state.params, batch, key)
    styles, options = 8, panel.shape[0]
    z = jax.random.normal(key, (styles, encoder.latents))
    grid = decode(
      state.params,
      jnp.repeat(z, options, axis=0),
      jnp.tile(panel, (styles, 1)),
    )
    return {
      "reconstruction": jnp.stack([image, output]),
      "conditions": grid.reshape(styles, options, *shape),
    }

  optimiser = optax.adam(lr, eps=config.optim.eps)
  players = {"model": Player(loss, optimiser, ("encoder", "decoder"))}

  def init(key: Array) -> TrainState:
    condition = jnp.zeros((1, conditions))
    nets = {
      "encoder": (encoder, jnp.zeros((1, *shape))),
      "decoder": (decoder, jnp.zeros((1, encoder.latents))),
    }
    params = {
      name: net.init(jax.random.fold_in(key, i), x, condition)["params"]
      for i, (name, (net, x)) in enumerate(nets.items())
    }
    return update.init_state(players, params)

  return System(
    init=init,
    step=update.make_step(players),
    evaluate=evaluate,
    columns={"image": shape, "condition": (conditions,)},
    render=render,
    encode=lambda state, image, c: encode(state.params, image, c),
    decode=lambda state, z, c: decode(state.params, z, c),
    nats=nats,
    latents=encoder.latents,
    schedules={"learning_rate": lr, "grey_weight": grey},
    notes=_notes(weight, math.prod(shape)),
  )


def _unit(image: Array) -> Array:
  """Maps uint8 pixels to [0, 1]."""
  return image.astype(jnp.float32) / 255.0


def _notes(weight: float, size: int) -> tuple[str, ...]:
  """Says what the weights of squared error and KL amount to."""
  return (
    f"reconstruction: {weight:g} × squared error summed over {size} values, "
    "KL summed over latents, both averaged over the batch",
    f"= −ELBO in nats − {0.5 * size * math.log(math.pi / weight):.2f} with "
    f"p(x|z) = N(x̂, {1 / (2 * weight):g}); relative to ½·SSE + β·KL, "
    f"β = {1 / (2 * weight):g}",
  )
