"""Loss terms per example: images [B, H, W, C] in, [B] out, never reduced."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.softplus import softplus
from cvae_jax.types import PyTree


def _per_example(x: Array) -> Array:
  return jnp.sum(x.reshape(x.shape[0], -1), axis=-1)


def _check_unit(target: Array) -> None:
  """Check that a target is no column of a batch as it came, 0 to 255."""
  if target.dtype == jnp.uint8:
    raise ValueError(
      "the target of a loss is uint8; expected floats in [0, 1]: a batch has "
      "images as bytes, and parts.unit(batch['image']) maps them"
    )


def squared_error(target: Array, output: Array) -> Array:
  """Sum squared differences over the image, [B].

  Args:
    target: [B, ...], floats in [0, 1].
    output: of the same shape.

  Raises:
    ValueError: the shapes differ, where broadcasting would hide it; or the
      target is uint8.
  """
  _check_unit(target)
  if target.shape != output.shape:
    raise ValueError(
      f"a network gives {output.shape[1:]}, expected {target.shape[1:]}; its "
      "features, strides and map in config.model decide"
    )
  return _per_example((target - output) ** 2)


def mean_squared_error(target: Array, output: Array) -> Array:
  """Return the mean of the squared differences of each example, [B].

  Raises:
    ValueError: as `squared_error`.
  """
  return squared_error(target, output) / math.prod(target.shape[1:])


def bernoulli_nats(target: Array, logits: Array) -> Array:
  """Return −log p(target) of independent pixels, [..., D] → [...].

  Binary cross-entropy from logits, summed; a target in (0, 1) counts as the
  share of both values.

  Args:
    target: [..., D], floats in [0, 1], or booleans.
    logits: of the same shape.

  Raises:
    ValueError: the target is uint8, or the last axes differ.
  """
  _check_unit(target)
  if target.shape[-1:] != logits.shape[-1:]:
    raise ValueError(
      f"the target has {target.shape[-1]} values and the logits have "
      f"{logits.shape[-1]}; expected as many"
    )
  return jnp.sum(softplus(logits) - target * logits, axis=-1)


def discriminator_loss(logit: Array, real: bool) -> Array:
  """Return −log D for a real example, −log(1 − D) for another, [...].

  D = sigmoid(logit). With the true value of `real` it is the discriminator's
  loss. With real=True for a generated example it is the generator's loss, in
  the form that does not saturate (Goodfellow et al. 2014, §3).
  """
  return softplus(-logit if real else logit)


def wasserstein_loss(score: Array, real: bool) -> Array:
  """Return −score for a real example, the score for another, [...].

  It is used like `discriminator_loss`: for the critic, and with real=True for
  the generator (Arjovsky et al. 2017, §3).
  """
  return -score if real else score


def grey_level(output: Array) -> Array:
  """Sum v(1 − v) over pixels between black and white, [B].

  Pixels above 1 count as 0, so that the term never rewards overshooting.
  """
  return _per_example(jax.nn.relu(output * (1.0 - output)))


def total_variation(image: Array) -> Array:
  """Sum ½ (difference)² of vertical and horizontal neighbours, [B]."""
  down = image[:, 1:] - image[:, :-1]
  right = image[:, :, 1:] - image[:, :, :-1]
  return 0.5 * (_per_example(down**2) + _per_example(right**2))


def kernel_l2(params: PyTree, weight: float = 1.0) -> Array:
  """Return weight · Σ kernel² of all convolutions (the 4-D leaves), []."""
  return _weigh_squares(params, weight, rank=4)


def dense_l2(params: PyTree, weight: float = 1.0) -> Array:
  """Return weight · Σ kernel² of all dense layers (the 2-D leaves), []."""
  return _weigh_squares(params, weight, rank=2)


def _weigh_squares(params: PyTree, weight: float, rank: int) -> Array:
  if not weight:  # XLA would read all kernels to add 0 · kernel to gradients
    return jnp.zeros(())
  leaves = [p for p in jax.tree.leaves(params) if p.ndim == rank]
  return weight * sum((jnp.sum(p**2) for p in leaves), start=jnp.zeros(()))


def psnr(target: Array, output: Array) -> Array:
  """Return the peak signal-to-noise ratio in dB, [B], output clipped to [0, 1].

  Raises:
    ValueError: as `squared_error`.
  """
  output = jnp.clip(output, 0.0, 1.0)
  mse = mean_squared_error(target, output)
  return -10.0 * jnp.log10(jnp.maximum(mse, 1e-10))
