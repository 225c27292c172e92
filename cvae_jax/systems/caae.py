"""Conditional adversarial autoencoder (CAAE, Zhang et al. 2017).

Three players move at once, each with an optimiser of its own:

    autoencoder    E and G: mean |x − G(E(x), y)| + tv · TV(G)
                   − code · log D_z(E(x)) − image · log D_img(G, y)
    latent_critic  D_z: tells u ~ Uniform(−1, 1) from E(x)
    image_critic   D_img: tells (x, y) from (G(E(x), y), y)

Images and attributes are in [0, 1] outside and in [−1, 1] inside. The batch
statistics of a critic move with its own player alone.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, schedules, update
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.nets.caae import Decoder, Encoder, ImageCritic, LatentCritic
from cvae_jax.systems.models.caae import Model, init_variables
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  System,
  TrainState,
)


def make(config, facts: Facts) -> System:
  """Build the system that config.model, .loss and .optim describe."""
  model = Model(
    nets={
      "encoder": Encoder(**config.model.encoder),
      "decoder": Decoder(**config.model.decoder),
      "latent_critic": LatentCritic(**config.model.latent_critic),
      "image_critic": ImageCritic(**config.model.image_critic),
    },
    shape=facts.image_shape,
    latents=config.model.encoder.latents,
    normalise=config.model.normalise,
    **config.loss,
  )
  lr = schedules.learning_rate(config.optim)
  players = _players(model, config.optim, lr)
  attributes = facts.condition_size
  return System(
    init=lambda key: update.init_state(
      players, *init_variables(model, attributes, key)
    ),
    step=update.make_step(players, simultaneous=True),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (attributes,)},
    render=functools.partial(_render, model),
    encode=lambda state, image, _: _encode(model, state, image),
    decode=lambda state, z, c: _decode(model, state, z, c),
    prior=functools.partial(_uniform, model),
    latents=model.latents,
    schedules=optim.rates(config.optim),
    notes=(
      f"loss of E and G: mean |x − x̂| + {model.tv:g} × total variation + "
      f"{model.code:g} and {model.image:g} × what fools the critics",
    ),
  )


def _players(model: Model, group, lr) -> dict[str, Player]:
  """Return the players, which move at once.

  With `optim.shared` they share the step counter of one Adam, as in the
  original experiment.

  Raises:
    ValueError: they share Adam's counter, and another optimiser or what goes
      around it is asked for.
  """
  if group.shared and (other := optim.list_beyond_adam(group)):
    raise ValueError(
      f"optim.shared is of Adam alone; found {', '.join(other)}: set "
      "optim.shared=false"
    )
  losses_and_branches = {
    "autoencoder": (_autoencoder_loss, ("encoder", "decoder")),
    "latent_critic": (_latent_critic_loss, ("latent_critic",)),
    "image_critic": (_image_critic_loss, ("image_critic",)),
  }
  turns = len(losses_and_branches)
  players = {}
  for index, (name, (loss, owns)) in enumerate(losses_and_branches.items()):
    if group.shared:
      adam = _adam(group, index, turns)
      tx = optax.chain(adam, optax.scale_by_learning_rate(lr))
    else:
      tx = optim.build(group, lr)
    players[name] = Player(functools.partial(loss, model), tx, owns)
  return players


def _adam(group, turn: int, turns: int) -> optax.GradientTransformation:
  """Return Adam's direction for one of `turns` players with one step counter.

  The counter corrects the bias of the moments. When players share it, it runs
  `turns` times as fast as it should: the original experiment has one
  optimiser object for all of them.
  """
  adam = optax.scale_by_adam(b1=group.b1, eps=group.eps)

  def update(gradients, state, params=None):
    counted = state._replace(count=turns * state.count + turn)
    direction, after = adam.update(gradients, counted, params)
    return direction, after._replace(count=state.count + 1)

  return optax.GradientTransformation(adam.init, update)


def _to_signed(values: Array) -> Array:
  """Map [0, 1] to [−1, 1]."""
  return 2.0 * values - 1.0


def _uniform(model: Model, key: Array, count: int) -> Array:
  """Draw codes [count, Z] from Uniform(−1, 1), the prior."""
  shape = (count, model.latents)
  return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


def _encode(model: Model, state: TrainState, image: Array) -> Gaussian:
  """Return the code as a Gaussian without spread."""
  return gaussian.point(model.encode(state.params, _to_signed(image)))


def _decode(model: Model, state: TrainState, z: Array, c: Array) -> Array:
  return 0.5 * (model.decode(state.params, z, _to_signed(c)) + 1.0)


def _forward(model: Model, params, batch: Batch):
  """Return x, y, the code z and G(z, y)."""
  x = _to_signed(parts.unit(batch["image"]))
  y = _to_signed(batch["condition"])
  z = model.encode(params, x)
  return x, y, z, model.decode(params, z, y)


def _terms(model: Model, params, stats, batch: Batch, train=False):
  """Return x, G(E(x), y) and the terms of E's and G's loss, each [B]."""
  x, y, z, output = _forward(model, params, batch)
  of_code, _ = model.criticise("latent_critic", params, stats, z, train=train)
  of_image, _ = model.criticise(
    "image_critic", params, stats, output, y, train=train
  )

  # 1. RECONSTRUCTION: the mean of |x − G(E(x), y)| over pixels and channels.
  l1 = jnp.abs(x - output).mean(axis=(1, 2, 3))

  # 2. SMOOTHNESS: tv · total variation of the output over its height.
  tv = model.tv * losses.total_variation(output) / x.shape[1]

  # 3. CODES: −code · log D_z(E(x)), which draws them to the uniform prior.
  code = model.code * losses.discriminator_loss(of_code, real=True)

  # 4. REALISM: −image · log D_img(G(E(x), y), y).
  image = model.image * losses.discriminator_loss(of_image, real=True)

  return x, output, {"l1": l1, "tv": tv, "code": code, "image": image}


def _autoencoder_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  _, _, terms = _terms(model, params, model_state, batch, train=True)
  terms = parts.means(terms)
  return sum(terms.values()), (terms, model_state)


def _latent_critic_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  # CODES: −log(1 − D_z(E(x))) − log D_z(u) for u ~ Uniform(−1, 1).
  _, _, z, _ = _forward(model, params, batch)
  drawn = _uniform(model, key, z.shape[0])
  return _critic_loss(
    model, "latent_critic", params, model_state, fake=(z,), real=(drawn,)
  )


def _image_critic_loss(
  model: Model, params, model_state, batch: Batch, key, step
):
  # IMAGES: −log(1 − D_img(G(E(x), y), y)) − log D_img(x, y).
  x, y, _, output = _forward(model, params, batch)
  return _critic_loss(
    model, "image_critic", params, model_state, fake=(output, y), real=(x, y)
  )


def _critic_loss(model: Model, name: str, params, stats, fake, real):
  """Return −log(1 − D(fake)) − log D(real), on the two as separate batches."""
  on_fake, stats = model.criticise(name, params, stats, *fake, train=True)
  on_real, stats = model.criticise(name, params, stats, *real, train=True)
  total = (
    losses.discriminator_loss(on_fake, real=False).mean()
    + losses.discriminator_loss(on_real, real=True).mean()
  )
  terms = {
    "fake_right": (on_fake <= 0).mean(),
    "real_right": (on_real > 0).mean(),
  }
  return total, (terms, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  x, output, terms = _terms(model, state.params, state.model_state, batch)
  psnr = losses.psnr(0.5 * (x + 1.0), 0.5 * (output + 1.0))
  return {"loss": sum(terms.values()), **terms, "psnr": psnr}


def _render(model: Model, state: TrainState, batch: Batch, panel: Array, key):
  """Pair targets with reconstructions; put faces under a panel."""
  x, _, z, output = _forward(model, state.params, batch)
  z = z[: parts.STYLES]
  options = panel.shape[0]
  codes = jnp.repeat(z, options, axis=0)
  drawn = _decode(model, state, codes, jnp.tile(panel, (len(z), 1)))
  drawn = drawn.reshape(len(z), options, *model.shape)
  pairs = 0.5 * (jnp.stack([x, output]) + 1.0)
  return {"reconstruction": pairs, "conditions": drawn}
