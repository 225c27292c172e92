"""Draws of a run's posteriors, also where its latents have levels.

A hierarchy's posterior is no Gaussian over [B, Z]: each level depends on draws
of the levels above it. `Run.encode` uses the means of the levels above. That
is right for editing, but not for a likelihood.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.images import to_bytes, unit
from cvae_jax.loop.distances import split
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.metrics import latents

SEED = 0  # of the draws of latents and of pixels that a KL is of


def make_draw(run: Any, images: NDArray, condition: NDArray) -> Callable:
  """Return the function noise [B, Z] → (q, z), both over [B, Z].

  Args:
    run: a runs.Run whose system encodes images.
    images: [B, H, W, C].
    condition: [B, A].
  """
  if run.system.posterior is not None:
    return lambda noise: run._apply("posterior", noise, images, condition)
  q = run.encode(images, condition)
  return lambda noise: (q, q.mean + np.exp(0.5 * q.logvar) * noise)


def measure_usage(
  run: Any, images: NDArray, condition: NDArray, q: Gaussian | None = None
) -> dict[str, Any]:
  """Return how much of the latents is used, see metrics.latents.usage.

  The nats of single latents are None where the prior is learned and joins
  them, as a mixture does: then only their sum is known. Where pixels are drawn
  0 or 1, they are of drawn images, as the KL of training and of evaluations.

  Args:
    run: a runs.Run whose system encodes images.
    images: [N, H, W, C].
    condition: [N, A].
    q: of `encode`, where it is known.
  """
  q = q or run.encode(images, condition)
  if run.system.log_prior is not None:
    return latents.usage(*q) | {"kl": None}
  if run.system.posterior is None:
    drawn = encode_observed(run, images, condition, q)
  else:
    shape = (len(images), run.system.latents)
    noise = np.random.default_rng(SEED).standard_normal(shape, np.float32)
    drawn, _ = make_draw(run, observe(run, images), condition)(noise)
  return latents.usage(*q, latents.kl(*drawn))


def encode_observed(
  run: Any, images: NDArray, condition: NDArray, q: Gaussian | None = None
) -> Gaussian:
  """Return the posteriors of images as the encoder learns them, see `observe`.

  Args:
    run: a runs.Run whose system encodes images.
    images: [N, H, W, C].
    condition: [N, A].
    q: posteriors of the images as they are, where known.
  """
  seen = observe(run, images)
  if seen is images and q is not None:
    return q
  return run.encode(seen, condition)


def observe(run: Any, images: NDArray) -> NDArray:
  """Return images as the encoder learns them: with drawn pixels, or unchanged.

  A model of pixels that are 0 or 1 is trained on draws of grey values.

  Args:
    run: a runs.Run whose system encodes images.
    images: [N, H, W, C].
  """
  if run.system.observe is None or not len(images):
    return images
  key = jax.random.key(SEED)
  parts = [
    to_bytes(run.system.observe(jax.random.fold_in(key, i), unit(part)))
    for i, part in enumerate(split(images))
  ]
  return np.concatenate(parts)
