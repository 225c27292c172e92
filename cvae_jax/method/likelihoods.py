"""Likelihoods of pixels by name, and their part in a system.

The distributions themselves are in distributions.py. A learned variance of
`sigma` is a branch of params. A fitted one is a running mean in model_state.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.distributions import (
  Bernoulli,
  ContinuousBernoulli,
  Gaussian,
  Likelihood,
  Logistic,
  Sigma,
)
from cvae_jax.method.names import pick
from cvae_jax.types import PyTree, TrainState

BRANCH = "likelihood"  # of params or model_state: sigma's log-variance
MEMORY = 0.01  # the least share of a batch in the running variance
NAMES = ("gaussian", "sigma", "bernoulli", "continuous_bernoulli", "logistic")
SIGMAS = ("optimal", "learned")


def build(loss, channels: int, own: str) -> Likelihood:
  """Build the likelihood that a config's group `loss` names.

  Args:
    loss: the group. `likelihood` is one of NAMES, "" for the system's own;
      `mse` weighs gaussian's squared error; `sigma` says how its variance
      comes, `per_channel` whether each channel has its own; `mixture` is the
      number of logistics.
    channels: of an image.
    own: the system's own likelihood.

  Raises:
    ValueError: a name or a number is none of these.
  """
  name = loss.get("likelihood", "") or own
  how = loss.get("sigma", "optimal")
  weight = loss.get("mse", 0.5)
  mixture = loss.get("mixture", 1)
  if name == "gaussian" and weight <= 0:
    raise ValueError(
      f"loss.mse is above 0 for a Gaussian likelihood; found {weight}"
    )
  if mixture < 1:
    raise ValueError(f"loss.mixture is 1 or more; found {mixture}")
  per = channels if loss.get("per_channel", False) else 1
  table = {
    "gaussian": lambda: Gaussian(weight),
    "sigma": lambda: Sigma(
      pick(dict(zip(SIGMAS, (False, True), strict=True)), how, "loss.sigma"),
      per,
    ),
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "logistic": lambda: Logistic(mixture),
  }
  return pick(table, name, "loss.likelihood")()


class Outputs(NamedTuple):
  """The arguments of a likelihood: a decoder's flat output, log-variances."""

  output: Array  # [B, D · width]
  logvar: Array | None = None  # [B, S]


def flat(image: Array) -> Array:
  """Lay images or outputs [B, H, W, C] out as rows [B, D]."""
  return image.reshape(image.shape[0], -1)


def init_variables(likelihood: Likelihood) -> tuple[PyTree, PyTree]:
  """Return what sigma adds to params and to model_state, else nothing."""
  if not isinstance(likelihood, Sigma):
    return {}, {}
  branch = {BRANCH: {"logvar": jnp.zeros(likelihood.channels)}}
  return (branch, {}) if likelihood.learned else ({}, branch)


def branches(likelihood: Likelihood) -> tuple[str, ...]:
  """Return the branches of params that a likelihood has."""
  return tuple(init_variables(likelihood)[0])


def stored_logvar(
  likelihood: Likelihood, params: PyTree, model_state: PyTree
) -> Array | None:
  """Return sigma's log-variance outside of training; None if there is none."""
  if not isinstance(likelihood, Sigma):
    return None
  source = params if likelihood.learned else model_state
  return source[BRANCH]["logvar"]


def fit(
  likelihood: Likelihood, params, model_state, x: Array, output: Array, step
) -> tuple[Array | None, PyTree]:
  """Return sigma's log-variance, and the model_state after.

  In training the optimal variance is fitted to the batch. Its running mean is
  used outside of training, where the variance must not depend on the image.

  Args:
    likelihood: any; others than sigma have None.
    params: of the system.
    model_state: of the system.
    x: targets [B, D].
    output: of the decoder [B, D].
    step: of the update; None outside of training.
  """
  found = stored_logvar(likelihood, params, model_state)
  if step is None or found is None or likelihood.learned:
    return found, model_state
  now = likelihood.optimal(x, output)
  share = jnp.maximum(MEMORY, 1.0 / (step + 1.0))
  seen = jax.lax.stop_gradient(jnp.exp(now))
  mean = jnp.exp(found) + share * (seen - jnp.exp(found))
  return now, {**model_state, BRANCH: {"logvar": jnp.log(mean)}}


def measure_nats(
  likelihood: Likelihood, params, model_state, image: Array, output: Array, step
) -> tuple[Array, PyTree]:
  """Return −log p(image | z), [B], and the model_state after.

  Args:
    likelihood: of the pixels.
    params: of the system.
    model_state: of the system.
    image: [B, H, W, C].
    output: of the decoder [B, H, W, C · width].
    step: of the update; None outside of training.

  Raises:
    ValueError: the output has another shape.
  """
  check(likelihood, image, output)
  x = flat(image)
  output = flat(output)
  logvar, model_state = fit(likelihood, params, model_state, x, output, step)
  return likelihood.nats(x, output, logvar), model_state


def outputs(
  likelihood: Likelihood, params: PyTree, model_state: PyTree, output: Array
) -> Outputs:
  """Return a decoder's output [B, ...] and what else the nats depend on."""
  found = stored_logvar(likelihood, params, model_state)
  if found is not None:
    found = jnp.broadcast_to(found, (output.shape[0], *found.shape))
  return Outputs(flat(output), found)


def make_functions(
  likelihood: Likelihood | None, output: Callable
) -> dict[str, Callable]:
  """Return System's `nats` and `outputs`; {} of a system without a likelihood.

  Args:
    likelihood: of the pixels.
    output: (state, z, condition) → the decoder's output [B, ...].
  """
  if likelihood is None:
    return {}

  def find_outputs(state: TrainState, z: Array, condition: Array) -> Outputs:
    values = output(state, z, condition)
    return outputs(likelihood, state.params, state.model_state, values)

  return {
    "nats": functools.partial(nats_of_images, likelihood),
    "outputs": find_outputs,
  }


def check(likelihood: Likelihood, image: Array, output: Array) -> None:
  """Check that a decoder's output [B, ...] is of images [B, H, W, C].

  Raises:
    ValueError: it has another number of values, or another height or width.
  """
  *sides, channels = image.shape
  wanted = (*sides, channels * likelihood.width)
  if output.shape != wanted:
    raise ValueError(
      f"a network gives {output.shape[1:]}, expected {wanted[1:]}; its "
      "features, strides and map in config.model decide"
    )


def decoder(likelihood: Likelihood, settings) -> dict:
  """Return a convolutional decoder's settings for what a likelihood takes.

  Args:
    likelihood: any. It multiplies the channels of the last layer.
    settings: of the network, with the image's channels last in `features`.
  """
  if likelihood.width == 1:
    return dict(settings)
  *hidden, channels = settings.features
  changes = {"features": (*hidden, channels * likelihood.width)}
  return {**settings, **changes}


def nats_of_images(likelihood: Likelihood, image: Array, of: Outputs) -> Array:
  """Return −log p(image [B, H, W, C]), [B]."""
  return likelihood.nats(flat(image), of.output, of.logvar)


def bits(likelihood: Likelihood, elbo: Array, shape: Sequence[int]) -> dict:
  """Return {"bits_per_dim": the ELBO's} where values are levels of 8 bits."""
  if not isinstance(likelihood, Logistic):
    return {}
  return {"bits_per_dim": -elbo / (math.prod(shape) * math.log(2))}
