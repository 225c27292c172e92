"""GAN and WGAN-GP (homework §B and §C4).

Two players in turn: the critic learns to tell images from what the generator
makes of z ~ N(0, I); the generator learns to pass. `loss.kind` is logistic
(Goodfellow et al. 2014, the form that does not saturate) or wasserstein, with
`loss.penalty` · E (|∇D(x̂)| − 1)² at points x̂ between real and made images
(Gulrajani et al. 2017). A step is one of the critic's; the generator moves in
every `optim.critic_steps`-th. Its batch statistics move with it alone.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import gaussian, losses, update
from cvae_jax.names import checked
from cvae_jax.nets import blocks
from cvae_jax.nets.dcgan import Decoder, Trunk
from cvae_jax.types import Batch, Metrics, Player, PyTree, System, TrainState

# (score, real) -> the loss of a critic whose image is real, or not
KINDS = {"logistic": losses.judged, "wasserstein": losses.moved_earth}


class Model(NamedTuple):
  """The two networks and what weighs their losses."""

  nets: Mapping[str, Any]  # generator and critic
  shape: tuple[int, ...]  # (H, W, C)
  latents: int
  told: Callable[[Array, bool], Array]  # one of KINDS
  penalty: float  # × (|∇D| − 1)²

  def generate(
    self, params: PyTree, stats: PyTree, z: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Gives images [B, H, W, C] in [0, 1] of z and statistics."""
    logits, stats = blocks.apply_branch(
      self.nets, "generator", params, stats, z, train=train
    )
    return jax.nn.sigmoid(logits), stats

  def judge(
    self, params: PyTree, stats: PyTree, image: Array, train: bool = False
  ) -> tuple[Array, PyTree]:
    """Gives the critic's scores [B] of images and statistics."""
    heads, stats = blocks.apply_branch(
      self.nets, "critic", params, stats, image, train=train
    )
    return heads["score"][:, 0], stats


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes.

  Raises:
    ValueError: the kind of loss is unknown, a penalty on the gradient of
      each example meets a critic that mixes examples, or the generator would
      never move.
  """
  model = _model(config)
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
      *blocks.init_branches(
        model.nets,
        key,
        generator=jnp.zeros((1, model.latents)),
        critic=jnp.zeros((1, *model.shape)),
      ),
    ),
    step=update.make_step(players),
    evaluate=functools.partial(_evaluate, model),
    columns={"image": model.shape, "condition": (config.data.conditions,)},
    render=render,
    decode=decode,
    latents=model.latents,
    notes=(
      f"losses: {config.loss.kind}"
      + (f" + {model.penalty:g} × (|∇D| − 1)²" if model.penalty else "")
      + f"; the generator moves in every step of {config.optim.critic_steps}",
    ),
  )


def _model(config) -> Model:
  kind = checked(KINDS, config.loss.kind, "loss.kind")
  norm = config.model.critic.norm
  if config.loss.penalty and norm.startswith("batch"):
    raise ValueError(
      "loss.penalty is on the gradient of each image alone: model.critic.norm "
      f"is 'layer' or ''; found {norm!r}"
    )
  return Model(
    nets={
      "generator": Decoder(**config.model.generator),
      "critic": Trunk(**config.model.critic, heads={"score": 1}),
    },
    shape=tuple(config.data.image_shape),
    latents=config.model.latents,
    told=KINDS[kind],
    penalty=config.loss.penalty,
  )


def _players(model: Model, optim) -> dict[str, Player]:
  """Gives the players in order, each with an optimiser of its own."""
  if (every := optim.critic_steps) < 1:
    raise ValueError(f"optim.critic_steps is 1 or more; found {every}")

  def player(name: str, loss: Callable, every: int) -> Player:
    adam = optax.adam(optim.lr, b1=optim.b1, b2=optim.b2, eps=optim.eps)
    return Player(functools.partial(loss, model), adam, (name,), every)

  return {
    "critic": player("critic", _criticise, 1),
    "generator": player("generator", _generate, every),
  }


def _criticise(model: Model, params, model_state, batch: Batch, key, step):
  """Judges real and made images apart, as two batches."""
  draw, mix = jax.random.split(key)
  real = batch["image"].astype(jnp.float32) / 255.0
  z = gaussian.draw(draw, real.shape[0], model.latents)
  fake, _ = model.generate(params, model_state, z, train=True)
  on_real, stats = model.judge(params, model_state, real, train=True)
  on_fake, stats = model.judge(params, stats, fake, train=True)
  terms = {"real": on_real, "fake": on_fake, "gap": on_real - on_fake}
  total = model.told(on_real, True) + model.told(on_fake, False)
  if model.penalty:
    share = jax.random.uniform(mix, (real.shape[0], 1, 1, 1))
    between = share * real + (1.0 - share) * fake
    terms["penalty"] = model.penalty * _steepness(
      lambda image: model.judge(params, stats, image)[0], between
    )
    total += terms["penalty"]
  return total.mean(), ({k: v.mean() for k, v in terms.items()}, stats)


def _steepness(score: Callable[[Array], Array], image: Array) -> Array:
  """Gives (|∇ score| − 1)² at each image, [B]."""
  squares = update.input_gradient(score, image) ** 2
  # Away from 0, where the root has no slope.
  norm = jnp.sqrt(squares.sum(axis=(1, 2, 3)) + 1e-12)
  return (norm - 1.0) ** 2


def _generate(model: Model, params, model_state, batch: Batch, key, step):
  z = gaussian.draw(key, batch["image"].shape[0], model.latents)
  fake, stats = model.generate(params, model_state, z, train=True)
  score, _ = model.judge(params, stats, fake, train=True)
  return model.told(score, True).mean(), ({}, stats)


def _evaluate(model: Model, state: TrainState, batch: Batch, key) -> Metrics:
  """Gives scores of images and of as many draws, and both losses, [B].

  The losses rise and fall with the opponent: they say nothing of quality.
  """
  real = batch["image"].astype(jnp.float32) / 255.0
  z = gaussian.draw(key, real.shape[0], model.latents)
  fake, _ = model.generate(state.params, state.model_state, z)
  on_real, on_fake = (
    model.judge(state.params, state.model_state, x)[0] for x in (real, fake)
  )
  return {
    "real": on_real,
    "fake": on_fake,
    "gap": on_real - on_fake,
    "critic": model.told(on_real, True) + model.told(on_fake, False),
    "generator": model.told(on_fake, True),
  }
