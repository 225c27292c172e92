"""Run.log_likelihood: exact where it can be known, and what it refuses."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cvae_jax import config as configs, data as sources, runs
from cvae_jax.loop.run import likelihood
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.types import System
from tests import small

SIGMA = 0.3
SHAPE = (2, 3, 2)
RNG = np.random.default_rng(0)
W = RNG.normal(0, 0.2, (2, 12)).astype(np.float32)  # latents → pixels
W[1] -= W[0] * (W[1] @ W[0]) / (W[0] @ W[0])  # so z's are uncorrelated
SHIFT = RNG.normal(0, 0.2, 12).astype(np.float32)  # of the attribute
IMAGES = RNG.uniform(0, 1, (40, *SHAPE)).astype(np.float32)
BRIGHT = RNG.uniform(0, 1, 40)


def linear(widened=1.0):
  """A run whose p(x | c) is a Gaussian, as probabilistic PCA has it.

  Its q(z | x, c) is the exact posterior, with the deviation times `widened`.
  """
  variance = 1 / (1 + (W**2).sum(axis=1) / SIGMA**2)[None]

  def flat(x):
    return x.reshape(len(x), -1)

  def encode(state, image, condition):
    rest = flat(image) - condition @ SHIFT[None]
    mean = rest @ W.T / SIGMA**2 * variance
    spread = jnp.log(variance * widened**2)
    return Gaussian(mean, jnp.broadcast_to(spread, mean.shape))

  def decode(state, z, condition):
    return (z @ W + condition @ SHIFT[None]).reshape(-1, *SHAPE)

  def nats(image, output):
    error = flat(image - output) ** 2 / (2 * SIGMA**2)
    return (error + 0.5 * np.log(2 * np.pi * SIGMA**2)).sum(axis=1)

  system = System(
    init=None,
    step=None,
    evaluate=None,
    columns={"image": SHAPE, "condition": (1,)},
    encode=encode,
    decode=decode,
    nats=nats,
    latents=2,
  )
  dataset = sources.from_arrays(
    (255 * IMAGES).astype(np.uint8), {"bright": BRIGHT}, held_out=0
  )
  config = configs.load("images:smoke")
  return runs.Run(Path("linear"), config, dataset.conditions, system, {})


def exact(condition):
  """Returns log p(x | c) of IMAGES by SciPy."""
  covariance = W.T @ W + SIGMA**2 * np.eye(12)
  pixels = IMAGES.reshape(len(IMAGES), -1) - condition @ SHIFT[None]
  return multivariate_normal(np.zeros(12), covariance).logpdf(pixels)


@pytest.mark.parametrize("samples", [1, 7])
def test_it_is_the_likelihood_where_the_posterior_is_exact(samples):
  run = linear()
  condition = run.conditions.encode(bright=BRIGHT)
  found = run.log_likelihood(IMAGES, condition, samples=samples)
  np.testing.assert_allclose(found, exact(condition), rtol=1e-4)
  words = run.log_likelihood(IMAGES, bright=BRIGHT.tolist(), samples=samples)
  np.testing.assert_allclose(words, found, rtol=1e-6)


def test_it_is_a_bound_that_rises_with_the_samples():
  run = linear(widened=2.5)
  condition = run.conditions.encode(bright=BRIGHT)
  one, many = (
    run.log_likelihood(IMAGES, condition, samples=k) for k in (1, 500)
  )
  target = exact(condition)
  assert one.mean() < many.mean() - 0.3
  np.testing.assert_allclose(many, target, atol=0.5)
  assert many.mean() == pytest.approx(target.mean(), abs=0.05)


def test_images_in_parts_are_those_at_once_and_parts_draw_apart(monkeypatch):
  run = linear()
  condition = run.conditions.encode(bright=BRIGHT)
  whole = run.log_likelihood(IMAGES, condition, samples=3)
  monkeypatch.setattr(likelihood, "VALUES", 3 * 12 * 7)  # 7 rows, 40 in all
  parts = run.log_likelihood(IMAGES, condition, samples=3)
  np.testing.assert_allclose(parts, whole, rtol=1e-4)
  assert run.log_likelihood(IMAGES[:0], condition[:0]).shape == (0,)
  wide = linear(widened=2.5)
  same = np.repeat(IMAGES[:1], 14, axis=0)
  noisy = wide.log_likelihood(same, condition[:1].repeat(14, 0), samples=3)
  assert len(set(noisy.tolist())) == 14


def test_draws_are_those_of_the_seed():
  run = linear(widened=2.5)
  condition = run.conditions.encode(bright=BRIGHT)
  first, again, other = (
    run.log_likelihood(IMAGES, condition, samples=2, seed=s) for s in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).all()


def test_what_has_no_likelihood_is_refused():
  run = linear()
  with pytest.raises(runs.RunError, match="samples is 1 or more; found 0"):
    run.log_likelihood(IMAGES, bright=0.5, samples=0)
  with pytest.raises(
    runs.RunError, match=r"images .* found shape \(40, 2, 3\)"
  ):
    run.log_likelihood(IMAGES[..., 0], bright=0.5)
  system = run.system._replace(nats=None)
  judge = runs.Run(run.folder, run.config, run.conditions, system, {})
  with pytest.raises(runs.RunError, match="has no likelihood of images"):
    judge.log_likelihood(IMAGES, bright=0.5)


def test_odd_digits_are_less_likely(data):
  run = runs.load(small.ROOT / "pretrained/digits")
  rows = sources.load(small.config(data).data).test
  images, condition = rows["image"][:30], rows["condition"][:30]
  usual = run.log_likelihood(images, condition, samples=5)
  floats = run.log_likelihood(images / 255, condition, samples=5)
  np.testing.assert_allclose(floats, usual, rtol=1e-4)
  odd = run.log_likelihood(255 - images, condition, samples=5)
  assert odd.max() < usual.min()
