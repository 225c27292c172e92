"""A classifier, the independent judge of conditional samples (digits.md §7).

Loss: cross-entropy plus l2 · Σ kernel² over the dense kernels.
"""

import jax.numpy as jnp
import optax
from jax import Array

from cvae_jax import losses, schedules, update
from cvae_jax.nets.classifier import Classifier
from cvae_jax.types import Batch, Metrics, Player, System, TrainState


def make(config) -> System:
  """Builds the system from config.model, .loss, .optim and .data's shapes."""
  net = Classifier(**config.model)
  shape = tuple(config.data.image_shape)
  lr = schedules.drops(
    config.optim.lr, dict.fromkeys(config.optim.drops, config.optim.factor)
  )

  def logits(params, image: Array, key=None) -> Array:
    return net.apply({"params": params["classifier"]}, image, key)

  def judge(params, batch: Batch, key=None) -> Metrics:
    image = batch["image"].astype(jnp.float32) / 255.0
    out = logits(params, image, key)
    return {
      "cross_entropy": optax.losses.softmax_cross_entropy_with_integer_labels(
        out, batch["label"]
      ),
      "accuracy": (out.argmax(-1) == batch["label"]).astype(jnp.float32),
    }

  def loss(params, model_state, batch, key, step):
    terms = {k: v.mean() for k, v in judge(params, batch, key).items()}
    terms["l2"] = config.loss.l2 * losses.dense_l2(params)
    return terms["cross_entropy"] + terms["l2"], (terms, model_state)

  optimiser = optax.adam(lr, eps=config.optim.eps)
  players = {"model": Player(loss, optimiser, ("classifier",))}

  def init(key: Array) -> TrainState:
    params = net.init(key, jnp.zeros((1, *shape)))["params"]
    return update.init_state(players, {"classifier": params})

  return System(
    init=init,
    step=update.make_step(players),
    evaluate=lambda state, batch, key: judge(state.params, batch),
    columns={"image": shape, "label": ()},
    classify=lambda state, image: logits(state.params, image),
    schedules={"learning_rate": lr},
    notes=("loss: cross-entropy in nats + L2 of the dense kernels",),
  )
