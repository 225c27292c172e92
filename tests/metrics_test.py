"""Metrics against closed forms and scipy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from cvae_jax.host.images import unit
from cvae_jax.loop.run import posteriors
from cvae_jax.method.gaussian import Gaussian
from cvae_jax.metrics import bounds, clusters, control, kid, latents
from cvae_jax.nets.mlp import binary
from cvae_jax.types import System


def test_usage_counts_latents_whose_mean_moves_and_sums_their_kl():
  generator = np.random.default_rng(0)
  mean = generator.normal(size=(400, 3)) * [1.0, 0.01, 0.0]
  logvar = np.broadcast_to(np.log([0.5, 1.0, 1.0]), mean.shape)
  usage = latents.usage(mean, logvar)
  assert (usage["active"], usage["of"]) == (1, 3)
  expected = 0.5 * ((mean[:, 0] ** 2).mean() + 0.5 - 1 - np.log(0.5))
  assert usage["kl"][0] == pytest.approx(expected, abs=1e-4)
  assert usage["kl"][2] == 0


def test_small_nats_of_many_latents_add_up():
  """Each was rounded to 0.0000 nats, and the sum of a hierarchy's to 0."""
  mean = np.full((5, 1000), 0.008)
  usage = latents.usage(mean, np.zeros_like(mean))
  assert sum(usage["kl"]) == pytest.approx(1000 * 0.008**2 / 2, rel=1e-5)


def test_the_nats_of_latents_are_of_drawn_pixels_where_training_draws_them():
  """A latent's mean is a pixel, of 0.5 as it is, or of 0 and 1 as drawn."""

  def encode(image, condition):
    mean = unit(image).reshape(len(image), -1)
    return Gaussian(mean, np.zeros_like(mean))

  def measure(observe):
    parts = dict.fromkeys(("log_prior", "posterior")) | {"observe": observe}
    run = SimpleNamespace(encode=encode, system=SimpleNamespace(**parts))
    return posteriors.measure_usage(run, image, np.zeros((len(image), 0)))

  image = np.full((2000, 1, 2, 1), 0.5, np.float32)
  as_they_are, drawn = measure(None), measure(binary)
  assert as_they_are["kl"] == [0.125, 0.125]
  assert drawn["kl"] == pytest.approx([0.25, 0.25], abs=0.02)
  assert drawn["active"] == as_they_are["active"]


def test_hits_are_certain_for_an_obedient_model_and_chance_for_a_deaf_one():
  requested = np.repeat(np.arange(10), 300)
  obedient = np.eye(10)[requested]
  scores = control.score_hits(requested, obedient)
  assert scores["hit_rate"] == 1.0
  assert scores["per_class"] == [1.0] * 10
  assert scores["floor"] == pytest.approx(0.1)
  read = np.random.default_rng(1).integers(10, size=3000)
  deaf = control.score_hits(requested, np.eye(10)[read])
  assert deaf["hit_rate"] == pytest.approx(0.1, abs=0.03)


def test_chance_is_what_permuted_requests_seldom_reach():
  generator = np.random.default_rng(0)
  asked = generator.random(400)
  chance = control.chance(asked, asked)
  found = [
    abs(np.corrcoef(generator.permutation(asked), asked)[0, 1])
    for _ in range(400)
  ]
  assert 0.9 < np.mean(np.array(found) < chance) < 0.99
  assert control.chance(asked, np.ones(400)) == 0


def test_confusion_counts_what_each_request_was_read_as():
  requested = np.array([0, 0, 1, 2])
  read = np.array([0, 2, 1, 1])
  found = control.score_hits(requested, np.eye(3)[read])["confusion"]
  assert found == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_purity_is_the_share_of_the_commonest_label_in_each_category():
  category = np.array([0, 0, 0, 2, 2, 5])
  label = np.array([1, 1, 0, 3, 3, 0])
  found = clusters.purity(category, label)
  assert found == {"purity": pytest.approx(5 / 6), "used": 3}
  rng = np.random.default_rng(0)
  label = rng.integers(10, size=500)
  assert clusters.purity(rng.permutation(10)[label], label)["purity"] == 1
  one = clusters.purity(np.zeros(500, int), label)
  assert one == {"purity": np.bincount(label).max() / 500, "used": 1}


def test_row_entropy_is_scipys_in_the_mean_of_the_rows():
  counts = np.random.default_rng(0).integers(0, 9, (4, 10))
  expected = scipy.stats.entropy(counts, axis=1).mean()
  assert clusters.row_entropy(counts) == pytest.approx(expected)
  assert clusters.row_entropy(5 * np.eye(10)) == 0
  even = clusters.row_entropy(np.full((3, 10), 7))
  assert even == pytest.approx(np.log(10))
  with pytest.raises(ValueError, match="each category needs a sample"):
    clusters.row_entropy([[1, 2], [0, 0]])


def test_wilson_interval_is_scipys():
  expected = scipy.stats.binomtest(97, 100).proportion_ci(method="wilson")
  np.testing.assert_allclose(
    control.wilson(97, 100), [expected.low, expected.high], atol=1e-4
  )


def test_agreement_is_the_line_that_was_laid():
  requested = np.linspace(-1, 1, 50)
  scores = control.agreement(requested, 0.5 * requested + 0.1)
  assert scores["correlation"] == pytest.approx(1)
  assert scores["slope"] == pytest.approx(0.5)
  assert scores["offset"] == pytest.approx(0.1)


def _linear_gaussian(encoder_mean, encoder_var):
  """A model with a known likelihood: x = z + noise of variance 1/2, Z = 1."""

  def nats(image, output):
    flat = (image - output).reshape(image.shape[0], -1)
    return (flat**2).sum(axis=-1) + 0.5 * np.log(np.pi)

  return System(
    init=None,
    step=None,
    evaluate=None,
    columns={},
    encode=lambda state, image, c: Gaussian(
      encoder_mean * image.reshape(-1, 1),
      jnp.full((image.shape[0], 1), np.log(encoder_var)),
    ),
    decode=lambda state, z, c: z.reshape(-1, 1, 1, 1),
    nats=nats,
  )


def _bound(system, samples, pixels):
  batch = {
    "image": jnp.asarray(pixels, jnp.float32).reshape(-1, 1, 1, 1),
    "condition": jnp.zeros((len(pixels), 0)),
  }
  bound = bounds.make_bound(system, samples)
  return np.asarray(bound(None, batch, jax.random.key(0))["iw_bound"])


def test_iw_bound_is_exact_when_the_posterior_is():
  pixels = np.array([51.0, 204.0])
  x = pixels / 255
  system = _linear_gaussian(2 / 3, 1 / 3)  # p(z | x) of this model
  truth = scipy.stats.norm(0, np.sqrt(1.5)).logpdf(x)
  np.testing.assert_allclose(_bound(system, 1, pixels), truth, atol=1e-4)
  np.testing.assert_allclose(_bound(system, 16, pixels), truth, atol=1e-4)


def test_iw_bound_rises_with_samples_towards_the_likelihood():
  pixels = np.full(4000, 128.0)
  truth = scipy.stats.norm(0, np.sqrt(1.5)).logpdf(128 / 255)
  system = _linear_gaussian(0.0, 1.0)  # the prior: a poor posterior
  means = [_bound(system, k, pixels).mean() for k in (1, 8, 64)]
  assert means[0] < means[1] < means[2] <= truth + 0.01
  assert means[2] == pytest.approx(truth, abs=0.02)


def test_iw_bound_is_of_what_the_likelihood_sees():
  seen = []

  def observe(key, image):
    seen.append(image.shape)
    return 0.2 + 0.0 * image

  system = _linear_gaussian(2 / 3, 1 / 3)
  found = _bound(system._replace(observe=observe), 4, [7.0, 204.0])
  np.testing.assert_allclose(found, _bound(system, 4, [51.0, 51.0]), rtol=1e-5)
  assert seen == [(2, 1, 1, 1)]  # drawn once for all samples


@pytest.mark.parametrize("at_once", [0, 2])
def test_targets_and_latents_of_a_bound_are_drawn_apart(at_once):
  used = []
  drawn = []
  system = _linear_gaussian(2 / 3, 1 / 3)

  def observe(key, image):
    used.append(key)
    return image

  def posterior(state, noise, image, condition):
    jax.debug.callback(lambda z: drawn.append(z), noise)
    return Gaussian(noise, jnp.zeros_like(noise)), noise

  own = {"observe": observe, "posterior": posterior, "latents": 1}
  bound = bounds.make_bound(system._replace(**own), 4, at_once)
  bound(None, {"image": np.zeros((3, 1, 1, 1), np.uint8)}, jax.random.key(0))
  jax.effects_barrier()
  pixels = jax.random.normal(used[0], drawn[0].shape)
  for noise in drawn:
    assert not np.isclose(noise, pixels).any()


def kernel_distance(a, b):
  """The unbiased MMD² of the cubic kernel, a pair at a time."""

  def kernel(x, y):
    return (
      sum(float(u) * float(v) for u, v in zip(x, y, strict=True)) / len(x) + 1
    ) ** 3

  def within(x):
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    return sum(kernel(x[i], x[j]) for i, j in pairs) / len(pairs)

  across = [kernel(x, y) for x in a for y in b]
  return within(a) + within(b) - 2 * sum(across) / len(across)


def test_the_kernel_distance_is_the_unbiased_one_of_pairs():
  rng = np.random.default_rng(0)
  a = rng.normal(0, 1, (9, 4))
  b = rng.normal(0.5, 2, (7, 4))
  expected = kernel_distance(a, b)
  assert kid.distance(a, b) == pytest.approx(expected, rel=1e-12)
  narrow = [x.astype(np.float32) for x in (a, b)]
  assert kid.distance(*narrow) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [10, 100])
def test_the_kernel_distance_of_equal_sources_is_0_whatever_their_number(count):
  rng = np.random.default_rng(1)
  found = [kid.distance(*rng.normal(0, 1, (2, count, 5))) for _ in range(200)]
  error = np.std(found) / np.sqrt(len(found))
  assert abs(np.mean(found)) < 3 * error


def test_the_kernel_distance_of_unfitting_sets_is_refused():
  with pytest.raises(ValueError, match="of one width; found"):
    kid.distance(np.ones((3, 4)), np.ones((3, 5)))
