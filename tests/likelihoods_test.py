"""Likelihoods, the control of the KL and objectives, against NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import integrate, special, stats

from cvae_jax import config as configs
from cvae_jax.method import kl_control, likelihoods, objectives

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (4, 6)) / 255
OUTPUT = RNG.normal(0, 2, (4, 6))


def build(name, channels=3, **keys):
  loss = ConfigDict(configs.loss(likelihood=name, **keys))
  return likelihoods.build(loss, channels, "gaussian")


def nats(likelihood, x, output, scale=None):
  x = jnp.asarray(x, jnp.float32)
  output = jnp.asarray(output, jnp.float32)
  return np.asarray(jax.jit(likelihood.nats)(x, output, scale))


def test_gaussian_nats_are_the_normal_density_s():
  sd = math.sqrt(1 / (2 * 3.0))
  expected = -stats.norm.logpdf(X, OUTPUT, sd).sum(-1)
  found = nats(build("gaussian", mse=3.0), X, OUTPUT)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
def test_sigma_nats_are_the_normal_density_s_with_its_variance(per_channel):
  scale = np.array([0.3, -1.0, 0.5]) if per_channel else np.array([0.7])
  each = np.tile(scale, 6 // len(scale))  # channels are the last axis
  expected = -stats.norm.logpdf(X, OUTPUT, np.exp(0.5 * each)).sum(-1)
  likelihood = build("sigma", per_channel=per_channel)
  found = nats(likelihood, X, OUTPUT, jnp.asarray(scale, jnp.float32))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "sigma"])
@pytest.mark.parametrize("spread", [0.03, 0.4])
def test_nats_of_a_large_image_keep_the_digits_that_float32_has(name, spread):
  # Their constant is as large as the rest: added to each value it would be
  # rounded 196,608 times.
  rng = np.random.default_rng(1)
  x = rng.integers(0, 256, (2, 256 * 256 * 3)) / 255
  x = x.astype(np.float32)
  output = (x + rng.normal(0, spread, x.shape)).astype(np.float32)
  error = (x.astype(np.float64) - output) ** 2  # the oracle is in float64
  if name == "gaussian":
    variance = 0.5 / 500.0
    scale = None
    found = nats(build("gaussian", mse=500.0), x, output)
  else:
    scale = np.full(3, 2 * np.log(spread), np.float32)
    variance = np.exp(scale[0].astype(np.float64))
    found = nats(build("sigma", per_channel=True), x, output, scale)
  constant = 0.5 * x.shape[-1] * np.log(2 * np.pi * variance)
  rest = 0.5 * error.sum(-1) / variance
  size = rest + abs(constant)  # digits are those of the larger one
  assert (abs(found - (constant + rest)) < 3e-7 * size).all()


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_optimal_variance_is_the_mean_squared_error_and_the_best(
  per_channel,
):
  likelihood = build("sigma", per_channel=per_channel)
  found = jax.jit(likelihood.optimal)(X, OUTPUT)
  error = ((X - OUTPUT) ** 2).reshape(-1, 3)
  expected = error.mean(0) if per_channel else error.mean(keepdims=True)[0]
  np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
  best = nats(likelihood, X, OUTPUT, found).sum()
  for change in (-0.05, 0.05):
    assert nats(likelihood, X, OUTPUT, found + change).sum() > best


def test_the_gradient_through_the_optimal_variance_is_that_with_it_fixed():
  # The envelope theorem: at the best variance its own change costs nothing.
  likelihood = build("sigma")
  x = jnp.asarray(X, jnp.float32)

  def loss(output, fixed):
    scale = likelihood.optimal(x, output)
    scale = jax.lax.stop_gradient(scale) if fixed else scale
    return likelihood.nats(x, output, scale).sum()

  output = jnp.asarray(OUTPUT, jnp.float32)
  whole, held = (
    jax.jit(jax.grad(loss), static_argnums=1)(output, fixed)
    for fixed in (False, True)
  )
  np.testing.assert_allclose(whole, held, rtol=1e-4)


def test_a_perfect_output_has_the_variance_of_rounding_to_8_bits():
  likelihood = build("sigma")
  found = jax.jit(likelihood.optimal)(X, X)
  rounding = stats.uniform(0, 1 / 255).var()
  np.testing.assert_allclose(np.exp(found), rounding, rtol=1e-5)


def test_outside_of_training_sigma_has_the_running_mean_of_variances():
  likelihood = build("sigma")
  _, state = likelihoods.init_variables(likelihood)
  mean = None
  for step, spread in enumerate((1.0, 2.0, 0.5)):
    x = jnp.asarray(X, jnp.float32)
    output = x + spread
    now, state = likelihoods.fit(likelihood, {}, state, x, output, step)
    np.testing.assert_allclose(np.exp(now), spread**2, rtol=1e-5)
    share = max(0.01, 1 / (step + 1))
    mean = spread**2 if mean is None else mean + share * (spread**2 - mean)
    found = np.exp(likelihoods.stored_logvar(likelihood, {}, state))
    np.testing.assert_allclose(found, mean, rtol=1e-5)


def test_bernoulli_nats_are_the_binary_cross_entropy():
  share = special.expit(OUTPUT)
  expected = -(X * np.log(share) + (1 - X) * np.log(1 - share)).sum(-1)
  found = nats(build("bernoulli"), X, OUTPUT)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("logit", [-30.0, -2.0, -0.11, -0.01, 0.0, 0.05, 4.0])
def test_the_continuous_bernoulli_is_a_density_with_its_mean(logit):
  likelihood = build("continuous_bernoulli")
  found = float(nats(likelihood, [[0.3]], [[logit]])[0])

  def kernel(x):
    return math.exp(logit * x - max(logit, 0.0))

  total = integrate.quad(kernel, 0, 1)[0]
  expected = -math.log(kernel(0.3) / total)
  assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
  mean = integrate.quad(lambda x: x * kernel(x), 0, 1)[0] / total
  got = float(jax.jit(likelihood.mean)(np.float32([logit]))[0])
  assert got == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("mixture", [1, 3])
def test_the_probabilities_of_the_256_levels_sum_to_1(mixture):
  likelihood = build("logistic", mixture=mixture)
  output = RNG.normal(0, 2, (1, likelihood.width))
  levels = np.arange(256)[:, None] / 255
  found = nats(likelihood, levels, np.repeat(output, 256, axis=0))
  assert np.exp(-found.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_logistic_nats_are_differences_of_the_distribution_function():
  likelihood = build("logistic")
  mean = 0.2
  log_scale = -1.5
  levels = np.array([0, 1, 100, 200, 254, 255]) / 255
  logistic = stats.logistic(mean, math.exp(log_scale))
  x = 2 * levels - 1
  above = np.where(levels == 1, 1.0, logistic.cdf(x + 1 / 255))
  below = np.where(levels == 0, 0.0, logistic.cdf(x - 1 / 255))
  output = np.tile([mean, log_scale], (6, 1))
  found = nats(likelihood, levels[:, None], output)
  np.testing.assert_allclose(found, -np.log(above - below), rtol=1e-4)


def level_nats(x, mean, log_scale):
  """−log P(level) in float64, by SciPy; x and mean are of [−1, 1]."""
  scale = np.exp(log_scale)
  above = stats.logistic.logcdf((x + 1 / 255 - mean) / scale)
  below = stats.logistic.logsf((x - 1 / 255 - mean) / scale)
  inner = above + below + np.log(-np.expm1(-2 / 255 / scale))
  return -np.where(x == -1, above, np.where(x == 1, below, inner))


def test_logistic_nats_and_slopes_are_scipy_s_at_every_level_and_scale():
  levels = np.array([0, 0, 1, 77, 128, 254, 255, 255])
  means = [-3.0, -1.0, -0.99, -0.4, 0.0, 0.004, 1.0, 2.0]
  log_scales = [-6.9, -5.0, -3.0, -1.0, 0.0, 2.0, 6.9]
  x, mean, log_scale = (
    a.ravel().astype(np.float32)
    for a in np.meshgrid(levels / 255, means, log_scales)
  )
  output = np.stack([mean, log_scale], axis=-1)
  likelihood = build("logistic")
  one = jax.vmap(jax.value_and_grad(likelihood.nats, argnums=(0, 1)))
  found, (of_value, slope) = jax.jit(one)(x[:, None], output)
  x, mean, log_scale = (a.astype(np.float64) for a in (x, mean, log_scale))
  x = np.rint(255 * x) * 2 / 255 - 1
  expected = level_nats(x, mean, log_scale)
  # Float32 rounds x − mean, and a narrow logistic multiplies what it lost.
  lost = 2e-7 * np.exp(-log_scale)
  assert (abs(found - expected) < 2e-6 * (1 + abs(expected)) + lost).all()
  by_mean, by_scale = (
    (
      level_nats(x, mean + a, log_scale + b)
      - level_nats(x, mean - a, log_scale - b)
    )
    / 2e-6
    for a, b in ((1e-6, 0.0), (0.0, 1e-6))
  )
  scale = np.exp(log_scale)  # in units of which slopes are near 1
  close = {"rtol": 1e-3, "atol": 1e-3}
  np.testing.assert_allclose(slope[:, 0] * scale, by_mean * scale, **close)
  np.testing.assert_allclose(slope[:, 1], by_scale, **close)
  # A value that moves is a mean that moves the other way, in [0, 1].
  np.testing.assert_allclose(of_value[:, 0], -2 * slope[:, 0], rtol=1e-6)


def test_a_mixture_s_means_come_first_then_log_scales_and_logits():
  rng = np.random.default_rng(2)
  x = rng.integers(0, 256, 5)
  parts = rng.normal(0, 1, (5, 3, 3))  # values, kinds, components
  mean, log_scale, logits = np.moveaxis(parts, 1, 0)
  nats_of = level_nats(x[:, None] * 2 / 255 - 1, mean, log_scale)
  share = special.log_softmax(logits, axis=-1)
  expected = -special.logsumexp(share - nats_of, axis=-1).sum()
  found = nats(
    build("logistic", mixture=3), x[None] / 255, parts.reshape(1, -1)
  )
  np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_a_level_far_in_the_tail_has_finite_nats_and_gradient():
  likelihood = build("logistic")
  output = jnp.array([[-1.0, -7.0]])
  x = jnp.array([[0.9]])
  value, gradient = jax.jit(
    jax.value_and_grad(lambda o: likelihood.nats(x, o)[0])
  )(output)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", likelihoods.NAMES)
def test_gradients_are_finite_differences(name):
  likelihood = build(name, mixture=2)
  output = jnp.asarray(RNG.normal(0, 1, (1, 6 * likelihood.width)), jnp.float32)
  scale = jnp.array([0.3]) if name == "sigma" else None
  x = jnp.asarray(X[:1], jnp.float32)

  def loss(output):
    return likelihood.nats(x, output, scale)[0]

  def slopes(output):
    steps = 1e-2 * jnp.eye(output.shape[1])[:, None]
    after = jax.vmap(lambda step: loss(output + step))(steps)
    before = jax.vmap(lambda step: loss(output - step))(steps)
    return jax.grad(loss)(output)[0], (after - before) / 2e-2

  gradient, slope = jax.jit(slopes)(output)
  np.testing.assert_allclose(gradient, slope, rtol=2e-2, atol=3e-3)


@pytest.mark.parametrize("name", likelihoods.NAMES)
def test_the_mean_of_samples_is_the_mean(name):
  likelihood = build(name, mixture=2)
  output = jnp.asarray(RNG.normal(0, 1, (1, 2 * likelihood.width)), jnp.float32)
  if name == "logistic":  # narrow, so that the range's ends play no part
    output = jnp.array([[0.1, -0.2, -3.0, -2.5, 0.3, 0.0] * 2])
  scale = jnp.array([-1.0]) if name == "sigma" else None
  many = np.tile(output, (20_000, 1))
  drawn = np.asarray(jax.jit(likelihood.sample)(KEY, many, scale))
  expected = jax.jit(likelihood.mean)(output)[0]
  np.testing.assert_allclose(drawn.mean(0), expected, atol=0.02)


def test_an_unknown_likelihood_and_a_weight_of_0_are_refused():
  with pytest.raises(
    ValueError, match=r"loss.likelihood is one of .*'poisson'"
  ):
    build("poisson")
  with pytest.raises(ValueError, match=r"loss.mse is above 0"):
    build("gaussian", mse=0.0)


# The KL


KL = RNG.gamma(1.0, 1.0, (5, 3))


def control(beta=1.0, **kl):
  return kl_control.read_kl_weight(ConfigDict({"beta": beta, "kl": kl}))


def test_beta_rises_in_its_warm_up_and_again_in_each_cycle():
  found = control(2.0, warmup=4)
  steps = [0, 1, 4, 9]
  np.testing.assert_allclose(
    [found.weight(s) for s in steps], [0.0, 0.5, 2.0, 2.0]
  )
  found = control(2.0, warmup=4, cycles=2)
  steps = [0, 2, 4, 7, 8, 10, 12, 15, 16, 30]
  np.testing.assert_allclose(
    [found.weight(jnp.int32(s)) for s in steps],
    [0.0, 1.0, 2.0, 2.0, 0.0, 1.0, 2.0, 2.0, 2.0, 2.0],
  )


def test_free_bits_are_held_against_the_batch_s_mean_of_each_latent():
  expected = np.maximum(KL.mean(0), 1.1).sum()
  found = control(free_bits=1.1).penalty(jnp.asarray(KL), 0, 3)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  # A latent below its free bits has no gradient, so that none is squeezed.
  gradient = jax.grad(lambda kl: control(free_bits=1.1).penalty(kl, 0, 3))(
    jnp.asarray(KL)
  )
  below = KL.mean(0) < 1.1
  assert below.any()
  assert (np.asarray(gradient)[:, below] == 0).all()


def test_a_capacity_draws_the_kl_to_what_it_has_risen_to():
  found = control(3.0, capacity=8.0, warmup=10)
  mean = KL.sum(-1).mean()
  for step, target in ((0, 0.0), (5, 4.0), (20, 8.0)):
    expected = 3.0 * abs(mean - target)
    got = found.penalty(jnp.asarray(KL), jnp.int32(step), 3)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("cycles", [1, 3])
def test_cycles_without_a_warm_up_are_refused(cycles):
  with pytest.raises(ValueError, match=r"loss.kl.warmup"):
    control(cycles=cycles)


def test_cycles_of_a_capacity_are_refused_as_it_rises_once():
  with pytest.raises(ValueError, match=r"cycles or loss.kl.capacity, not both"):
    control(capacity=3.0, warmup=4, cycles=2)


# Bounds of several samples


class Linear:
  """z ~ N(0, I), x = W z + b + noise: log p(x) is known exactly."""

  def __init__(self, latents=2, values=4):
    rng = np.random.default_rng(3)
    self.w = rng.normal(0, 1, (values, latents))
    self.b = rng.normal(0, 1, values)
    self.x = rng.normal(0, 1, (3, values))
    self.sd = 0.8

  def log_evidence(self):
    cov = self.w @ self.w.T + self.sd**2 * np.eye(len(self.b))
    return stats.multivariate_normal(self.b, cov).logpdf(self.x)

  def log_weights(self, mean, logvar, w, z, held=False, beta=1.0):
    """log p(x | z) + β (log p(z) − log q(z)), [k, B]."""
    if held:
      mean, logvar = jax.lax.stop_gradient((mean, logvar))
    error = ((self.x - self.b)[None] - z @ w.T) / self.sd
    log_p = -0.5 * (error**2).sum(-1) - len(self.b) * (
      0.5 * math.log(2 * math.pi) + math.log(self.sd)
    )
    prior = -0.5 * (z**2).sum(-1)
    q = -0.5 * ((z - mean) ** 2 * jnp.exp(-logvar) + logvar).sum(-1)
    return log_p + beta * (prior - q)  # the latents' 2π cancel


def test_the_bound_of_many_samples_comes_to_the_exact_likelihood():
  model = Linear()
  mean = np.zeros((1, 3, 2), np.float32)
  logvar = np.zeros((1, 3, 2), np.float32)
  z = jax.random.normal(KEY, (100_000, 3, 2))
  logs = jax.jit(model.log_weights)(mean, logvar, model.w, z)
  few = objectives.importance_bound(logs[:1])
  found = jax.jit(objectives.importance_bound)(logs)
  np.testing.assert_allclose(found, model.log_evidence(), atol=0.05)
  assert (logs.mean(0) < found).all()
  np.testing.assert_allclose(few, logs[0], rtol=1e-6)


@pytest.mark.parametrize("beta", [1.0, 0.3, 3.0])
def test_the_doubly_reparameterised_gradient_has_the_same_mean(beta):
  model = Linear()

  def gradients(key, doubly):
    def bound(mean, w):
      logvar = jnp.full((1, 3, 2), -1.0)
      z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, (8, 3, 2))

      def logs(z):
        return model.log_weights(mean, logvar, w, z, doubly, beta)

      if doubly:
        return objectives.doubly_reparameterised_bound(logs, z, beta).sum()
      return objectives.importance_bound(logs(z)).sum()

    mean = jnp.full((1, 3, 2), 0.1)
    return jax.value_and_grad(bound, argnums=(0, 1))(
      mean, jnp.asarray(model.w, jnp.float32)
    )

  keys = jax.random.split(KEY, 4_000)
  (one, (q, p)), (two, (q2, p2)) = (
    jax.jit(jax.vmap(lambda key, d=d: gradients(key, d)))(keys)
    for d in (False, True)
  )
  np.testing.assert_allclose(one, two, rtol=1e-4)  # one bound
  np.testing.assert_allclose(p, p2, rtol=1e-3, atol=1e-3)  # one gradient of p
  error = 5 * np.asarray(q).std(0) / math.sqrt(len(keys))
  assert (np.abs(q.mean(0) - q2.mean(0)) < error).all()
  if beta == 1:  # and less noise
    assert np.asarray(q2).std(0).mean() < 0.8 * np.asarray(q).std(0).mean()
