"""GAN (Goodfellow et al. 2014) and WGAN-GP (Gulrajani et al. 2017).

Two players move in turn. The critic D learns to tell images x from what the
generator G makes of z ~ N(0, I); the generator learns to fool it:

                 logistic                            wasserstein
    critic       −log D(x) − log(1 − D(G(z)))        D(G(z)) − D(x)
    generator    −log D(G(z))                        −D(G(z))

`loss.penalty` adds penalty · (‖∇D(x̂)‖ − 1)² to the critic's loss at points x̂
between real and generated images, `loss.r1` r1 / 2 · ‖∇D(x)‖² at real ones.
The label of real images is 1 − `loss.label_smoothing` for a logistic critic. A
step is one step of the critic. The generator moves in every
`optim.critic_steps`-th step, and its batch statistics move with it alone.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method import gaussian, losses, optim, parts, update
from cvae_jax.method.names import check
from cvae_jax.nets import images
from cvae_jax.nets.dcgan import Decoder, Trunk
from cvae_jax.types import (
  Batch,
  Facts,
  Metrics,
  Player,
  PyTree,
  System,
  TrainState,
)

# (score, real) -> the loss of a critic whose image is real, or not
KINDS = {
  "logistic": losses.discriminator_loss,
  "wasserstein": losses.wasserstein_loss,
}


class Model(NamedTuple):
  """The two networks and what weighs their losses."""

  nets: Mapping[str, Any]  # generator and critic
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  critic_loss: Callable[[Array, bool], Array]  # one of KINDS
  penalty: float  # × (|∇D| − 1)², between images
  r1: float  # / 2 × |∇D|², at real images
  smoothing: float  # the label of real images is 1 less this

  def generate(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Return images [B, H, W, C] in [0, 1] of z, and statistics."""
    logits, stats = parts.apply_branch(
      self.nets, "generator", params, stats, z, train=train
    )
    return jax.nn.sigmoid(logits), stats

  def score(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Return the critic's scores [B] of images, and statistics."""
    heads, stats = parts.apply_branch(
      self.nets, "critic", params, stats, image, train=train
    )
    return heads["score"][:, 0], stats


def make(config, facts: Facts) -> System:
  """Build the system from config.model, .loss and .optim for the data's shapes.

  Raises:
    ValueError: the kind of loss is unknown, a penalty on the gradient of
      each example meets a critic that mixes examples, or the generator would
      never move.
  """
  model = _model(config, facts)
  players = _players(model, config.optim)

  def decode(state: TrainState, z: Array, _: Array) -> Array:
    return model.generate(state.params, state.model_state, z)[0]

  def render(state: TrainState, batch: Batch, panel: Array, key: Array):
    z = gaussian.draw(key, 64, model.latents)
    drawn = decode(state, z, panel)
    return {"samples": drawn.reshape(8, 8, *model.shape)}

  return System(
    init=lambda key: update.init_state(
      players,
      *parts.init_branches(
        model.nets,
        key,
        generator=jnp.zeros((1, model.latents)),
        critic=jnp.zeros((1, *model.shape)),
      ),
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (facts.condition_size,)},
    render=render,
    decode=decode,
    latents=model.latents,
    schedules=optim.rates(config.optim),
    notes=(
      f"losses: {config.loss.kind}"
      + (f" + {model.penalty:g} × (|∇D| − 1)²" if model.penalty else "")
      + (f" + {model.r1 / 2:g} × |∇D|²" if model.r1 else "")
      + f"; the generator moves in 1 of {config.optim.critic_steps} steps",
    ),
  )


def _own_networks(model, facts: Facts) -> dict[str, Any]:
  shape = facts.image_shape
  how = {"width": model.width, "blocks": model.blocks}
  return {
    "generator": images.Generator(shape, **how, mean=facts.mean),
    "critic": images.Critic(shape, **how),
  }


def _model(config, facts: Facts) -> Model:
  kind = check(KINDS, config.loss.kind, "loss.kind")
  own = images.builds_itself(config.model)
  norm = "" if own else config.model.critic.norm
  r1 = config.loss.get("r1", 0.0)  # older runs have none
  if (config.loss.penalty or r1) and norm.startswith("batch"):
    name = "penalty" if config.loss.penalty else "r1"
    raise ValueError(
      f"loss.{name} is on the gradient of each image alone: model.critic.norm "
      f"is 'layer' or ''; found {norm!r}"
    )
  return Model(
    nets=_own_networks(config.model, facts)
    if own
    else {
      "generator": Decoder(**config.model.generator),
      "critic": Trunk(**config.model.critic, heads={"score": 1}),
    },
    shape=facts.image_shape,
    latents=config.model.latents,
    critic_loss=KINDS[kind],
    penalty=config.loss.penalty,
    r1=r1,
    smoothing=config.loss.get("label_smoothing", 0.0),
  )


def _players(model: Model, config) -> dict[str, Player]:
  """Return the players in order, each with an optimiser of its own."""

  def player(name: str, loss: Callable, every: int) -> Player:
    tx = optim.build(config, every=every)
    return Player(functools.partial(loss, model), tx, (name,), every)

  return {
    "critic": player("critic", _critic_loss, 1),
    "generator": player("generator", _generator_loss, config.critic_steps),
  }


def _critic_loss(model: Model, params, model_state, batch: Batch, key, step):
  """Score real and generated images apart, as two batches."""
  draw, mix = jax.random.split(key)
  real = parts.unit(batch["image"])
  z = parts.share_noise(gaussian.draw(draw, real.shape[0], model.latents))
  fake, _ = model.generate(params, model_state, z, train=True)
  on_real, stats = model.score(params, model_state, real, train=True)
  on_fake, stats = model.score(params, stats, fake, train=True)
  terms = {"real": on_real, "fake": on_fake, "gap": on_real - on_fake}

  def squared_slope(image: Array) -> Array:
    """Return ‖∇D‖² at each image, [B]."""
    slope = update.input_gradient(
      lambda x: model.score(params, stats, x)[0], image
    )
    return (slope**2).sum(axis=(1, 2, 3))

  # 1. REAL AND GENERATED: −log D(x) − log(1 − D(G(z))), or D(G(z)) − D(x).
  # With smoothing s the first is −(1 − s) log D(x) − s log(1 − D(x)) (Salimans
  # et al. 2016, 3.4).
  total = model.critic_loss(on_real, True) + model.critic_loss(on_fake, False)
  if model.smoothing:
    doubt = model.critic_loss(on_real, False) - model.critic_loss(on_real, True)
    total += model.smoothing * doubt

  # 2. GRADIENT PENALTY: penalty · (‖∇D(x̂)‖ − 1)² at x̂ = u x + (1 − u) G(z)
  # with u ~ Uniform(0, 1) (Gulrajani et al. 2017, algorithm 1).
  if model.penalty:
    share = jax.random.uniform(mix, (real.shape[0], 1, 1, 1))
    between = share * real + (1.0 - share) * fake
    # Away from 0, where the root has no slope.
    slope = jnp.sqrt(squared_slope(between) + 1e-12)
    terms["penalty"] = model.penalty * (slope - 1.0) ** 2
    total += terms["penalty"]

  # 3. R1: r1 / 2 · ‖∇D(x)‖² (Mescheder et al. 2018, eq. 9).
  if model.r1:
    terms["r1"] = 0.5 * model.r1 * squared_slope(real)
    total += terms["r1"]

  return total.mean(), (parts.means(terms), stats)


def _generator_loss(model: Model, params, model_state, batch: Batch, key, step):
  z = gaussian.draw(key, batch["image"].shape[0], model.latents)
  fake, stats = model.generate(
    params, model_state, parts.share_noise(z), train=True
  )
  score, _ = model.score(params, stats, fake, train=True)

  # DECEPTION: −log D(G(z)), or −D(G(z)).
  return model.critic_loss(score, True).mean(), ({}, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Return scores of images and of as many draws, and both losses, [B].

  The losses rise and fall with the opponent: they say nothing of quality.
  """
  real = parts.unit(batch["image"])
  z = gaussian.draw(key, real.shape[0], model.latents)
  fake, _ = model.generate(state.params, state.model_state, z)
  on_real, _ = model.score(state.params, state.model_state, real)
  on_fake, _ = model.score(state.params, state.model_state, fake)
  return {
    "real": on_real,
    "fake": on_fake,
    "gap": on_real - on_fake,
    "critic": (
      model.critic_loss(on_real, True) + model.critic_loss(on_fake, False)
    ),
    "generator": model.critic_loss(on_fake, True),
  }
