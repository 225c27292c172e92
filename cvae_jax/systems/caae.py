"""Conditional adversarial autoencoder (Zhang et al. 2017; spec zoo §6).

Three players move at once, each with an optimiser of its own:

    autoencoder   E, G: |x − G(E(x), y)| + tv · TV + code · BCE(D_z(E(x)), 1)
                  + image · BCE(D_img(G, y), 1)
    latent_critic  D_z: tells u ~ Uniform(−1, 1) from E(x)
    image_critic   D_img: tells (x, y) from (G(E(x), y), y)

The source writes targets the other way round (a fake is 1), which is the same.
Images and attributes are in [0, 1] outside and in [−1, 1] inside. A critic's
batch statistics move with its own player alone.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import losses, schedules, update
from cvae_jax.gaussian import Gaussian
from cvae_jax.nets import blocks
from cvae_jax.nets.caae import Decoder, Encoder, ImageCritic, LatentCritic
from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState

CRITICS = ("latent_critic", "image_critic")


class Model(NamedTuple):
  """The four networks and what weighs the terms of E's and G's loss."""

  encoder: Encoder
  decoder: Decoder
  latent_critic: LatentCritic
  image_critic: ImageCritic
  shape: tuple[int, ...]  # (H, W, C)
  normalise: bool  # by the batch in training; else never, as in the source
  tv: float
  code: float
  image: float

  def encode(self, params: PyTree, x: Array) -> Array:
    """Gives the codes [B, Z] of images in [−1, 1]."""
    return self.encoder.apply({"params": params["encoder"]}, x)

  def decode(self, params: PyTree, z: Array, y: Array) -> Array:
    """Gives images in [−1, 1] of codes and attributes in [−1, 1]."""
    return self.decoder.apply({"params": params["decoder"]}, z, y)

  def judge(
    self, name: str, params: PyTree, stats: PyTree, *arrays: Array, train=False
  ) -> tuple[Array, PyTree]:
    """Gives a critic's logits [B] and the statistics of all after it."""
    net = getattr(self, name)
    logits, after = blocks.apply(
      net, params[name], stats[name], *arrays, train=train and self.normalise
    )
    return logits, {**stats, name: after}


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes."""
  model = Model(
    encoder=Encoder(**config.model.encoder),
    decoder=Decoder(**config.model.decoder),
    latent_critic=LatentCritic(**config.model.latent_critic),
    image_critic=ImageCritic(**config.model.image_critic),
    shape=tuple(config.data.image_shape),
    normalise=config.model.normalise,
    **config.loss,
  )
  lr, shared = schedules.learning_rate(config.optim), config.optim.shared
  parts = {
    "autoencoder": (_autoencoder, ("encoder", "decoder")),
    "latent_critic": (_latent_critic, ("latent_critic",)),
    "image_critic": (_image_critic, ("image_critic",)),
  }
  players = {
    name: Player(
      loss=functools.partial(loss, model),
      tx=optax.chain(
        _adam(config.optim, *((i, len(parts)) if shared else (0, 1))),
        optax.scale_by_learning_rate(lr),
      ),
      owns=owns,
    )
    for i, (name, (loss, owns)) in enumerate(parts.items())
  }
  attributes = config.data.conditions
  return System(
    init=lambda key: update.init_state(
      players, *_start(model, attributes, key)
    ),
    step=update.make_step(players, simultaneous=True),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (attributes,)},
    render=functools.partial(_render, model),
    encode=lambda state, image, _: _encode(model, state, image),
    decode=lambda state, z, c: _decode(model, state, z, c),
    prior=functools.partial(_uniform, model),
    latents=model.encoder.latents,
    schedules={"learning_rate": lr},
    notes=(
      f"loss of E and G: mean |x − x̂| + {model.tv:g} × total variation + "
      f"{model.code:g} and {model.image:g} × what fools the critics",
    ),
  )


def _adam(optim, turn: int, turns: int) -> optax.GradientTransformation:
  """Gives Adam's direction; of `turns` players that share its step counter.

  The counter, which corrects the moments' bias, then runs `turns` times as
  fast as it should: the source has one optimiser object for all.
  """
  adam = optax.scale_by_adam(b1=optim.b1, eps=optim.eps)

  def update(gradients, state, params=None):
    counted = state._replace(count=turns * state.count + turn)
    direction, after = adam.update(gradients, counted, params)
    return direction, after._replace(count=state.count + 1)

  return optax.GradientTransformation(adam.init, update)


def _start(model: Model, attributes: int, key: Array) -> tuple[PyTree, PyTree]:
  x = jnp.zeros((1, *model.shape))
  z = jnp.zeros((1, model.encoder.latents))
  y = jnp.zeros((1, attributes))
  inputs = {
    "encoder": (x,),
    "decoder": (z, y),
    "latent_critic": (z,),
    "image_critic": (x, y),
  }
  made = {
    name: blocks.init(getattr(model, name), jax.random.fold_in(key, i), *arrays)
    for i, (name, arrays) in enumerate(inputs.items())
  }
  params = {name: drawn for name, (drawn, _) in made.items()}
  return params, {name: made[name][1] for name in CRITICS}


def _signed(values: Array) -> Array:
  """Maps [0, 1] to [−1, 1]."""
  return 2.0 * values - 1.0


def _uniform(model: Model, key: Array, count: int) -> Array:
  """Draws codes [count, Z] from Uniform(−1, 1), the prior."""
  shape = (count, model.encoder.latents)
  return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


def _encode(model: Model, state: TrainState, image: Array) -> Gaussian:
  """Gives the code as a Gaussian without spread."""
  z = model.encode(state.params, _signed(image))
  return Gaussian(z, jnp.full_like(z, -jnp.inf))


def _decode(model: Model, state: TrainState, z: Array, c: Array) -> Array:
  return 0.5 * (model.decode(state.params, z, _signed(c)) + 1.0)


def _forward(model: Model, params, batch: Batch):
  """Gives x, y, the code z and G(z, y)."""
  x = _signed(batch["image"].astype(jnp.float32) / 255.0)
  y = _signed(batch["condition"])
  z = model.encode(params, x)
  return x, y, z, model.decode(params, z, y)


def _terms(model: Model, x, output, fooled: dict[str, Array]) -> Metrics:
  """Gives the terms of E's and G's loss, each [B]."""
  return {
    "l1": jnp.abs(x - output).mean(axis=(1, 2, 3)),
    "tv": model.tv * losses.total_variation(output) / x.shape[1],
    "code": model.code * losses.judged(fooled["latent_critic"], True),
    "image": model.image * losses.judged(fooled["image_critic"], True),
  }


def _autoencoder(model: Model, params, model_state, batch: Batch, key, step):
  x, y, z, output = _forward(model, params, batch)
  fooled = {}
  for name, arrays in zip(CRITICS, ((z,), (output, y)), strict=True):
    fooled[name], _ = model.judge(
      name, params, model_state, *arrays, train=True
    )
  terms = _terms(model, x, output, fooled)
  terms = {name: term.mean() for name, term in terms.items()}
  return sum(terms.values()), (terms, model_state)


def _latent_critic(model: Model, params, model_state, batch: Batch, key, step):
  _, _, z, _ = _forward(model, params, batch)
  pair = ((z,), (_uniform(model, key, z.shape[0]),))
  return _critic(model, "latent_critic", params, model_state, pair)


def _image_critic(model: Model, params, model_state, batch: Batch, key, step):
  x, y, _, output = _forward(model, params, batch)
  pair = ((output, y), (x, y))
  return _critic(model, "image_critic", params, model_state, pair)


def _critic(model: Model, name: str, params, stats, pair):
  """Gives a critic's loss on (fake, real), judged apart as two batches."""
  terms, total = {}, 0.0
  for kind, arrays in zip(("fake", "real"), pair, strict=True):
    logits, stats = model.judge(name, params, stats, *arrays, train=True)
    total += losses.judged(logits, kind == "real").mean()
    terms[f"{kind}_right"] = ((logits > 0) == (kind == "real")).mean()
  return total, (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  x, y, z, output = _forward(model, state.params, batch)
  fooled = {
    name: model.judge(name, state.params, state.model_state, *arrays)[0]
    for name, arrays in zip(CRITICS, ((z,), (output, y)), strict=True)
  }
  terms = _terms(model, x, output, fooled)
  psnr = losses.psnr(0.5 * (x + 1.0), 0.5 * (output + 1.0))
  return {"loss": sum(terms.values()), **terms, "psnr": psnr}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pairs targets with reconstructions; puts faces under a panel."""
  x, _, z, output = _forward(model, state.params, batch)
  z, options = z[:8], panel.shape[0]
  grid = jnp.repeat(z, options, axis=0), jnp.tile(panel, (len(z), 1))
  drawn = _decode(model, state, *grid).reshape(len(z), options, *model.shape)
  pairs = 0.5 * (jnp.stack([x, output]) + 1.0)
  return {"reconstruction": pairs, "conditions": drawn}
