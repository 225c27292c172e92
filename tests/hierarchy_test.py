"""Several levels of latents: their densities, their KL and what is refused."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import special, stats

from cvae_jax import config as configs
from cvae_jax.method import gaussian, kl_control
from cvae_jax.metrics import bounds
from cvae_jax.nets import hierarchy
from cvae_jax.systems.models import vae, vae_bound
from cvae_jax.types import Facts
from tests import small

KEY = jax.random.key(0)
SHAPE = (16, 16, 1)  # maps of 4×4 and 8×8
LEVELS = (2, 1)
TOP = 4 * 4 * 2
LATENTS = TOP + 8 * 8
PAGE = "configs/images.py:latents=hierarchy,blocks=residual"
TWO_LAYERS = "configs/likelihood.py:latents=two_layers"
DENSE = {
  "levels": (TOP, 8 * 8),
  "widths": (16, 24),
  "activation": "tanh",
}


def made(page=PAGE, shape=SHAPE, conditions=3, model=None, **changes):
  changes = {name.replace("__", "."): v for name, v in changes.items()}
  plain = {"model.levels": LEVELS, "optim.ema": 0.0}
  config = configs.load(page, plain | changes)
  if model:
    config.model = ConfigDict(model)
  columns = {"image": shape, "condition": (conditions,)}
  return configs.resolve(config, Facts(columns, rows=60))


def batch(shape=SHAPE, conditions=3, size=4):
  rng = np.random.default_rng(0)
  return {
    "image": rng.integers(0, 256, (size, *shape)).astype(np.uint8),
    "condition": rng.uniform(0, 1, (size, conditions)).astype(np.float32),
  }


@pytest.fixture(scope="module", params=["convolutions", "dense"])
def cvae(request):
  return made(model=DENSE if request.param == "dense" else None)


@pytest.fixture(scope="module")
def state(cvae):
  return small.drawn(cvae)


@pytest.fixture(scope="module")
def posterior(cvae):
  return jax.jit(cvae.posterior)


def unit(images):
  return images.astype(np.float32) / 255.0


def test_the_kl_is_that_of_the_densities_by_monte_carlo(cvae, state, posterior):
  one = {k: np.repeat(v[:1], 400, axis=0) for k, v in batch().items()}
  terms = jax.jit(cvae.evaluate)(state, one, KEY)
  noise = np.random.default_rng(2).standard_normal((400, LATENTS), np.float32)
  q, z = posterior(state, noise, unit(one["image"]), one["condition"])
  z = np.asarray(z, np.float64)
  log_q = stats.norm.logpdf(z, q.mean, np.exp(0.5 * np.asarray(q.logvar)))
  each = log_q - stats.norm.logpdf(z)
  for name, part in {
    "kl": each,
    "kl_1": each[:, :TOP],
    "kl_2": each[:, TOP:],
  }.items():
    drawn = part.sum(axis=-1)
    error = np.hypot(drawn.std(), np.std(terms[name])) / np.sqrt(400)
    assert abs(drawn.mean() - np.mean(terms[name])) < 4 * error
    assert drawn.mean() > 5 * error  # not of a model that ignores images
  elbo = -terms["weighted_squared_error"] - terms["kl"]
  constant = 0.5 * np.prod(SHAPE) * np.log(np.pi / 0.5)
  np.testing.assert_allclose(terms["elbo"], elbo - constant, rtol=1e-5)


def test_a_level_is_of_the_draws_above_it_and_of_no_draw_below(
  state, posterior
):
  image = unit(batch()["image"])
  condition = batch()["condition"]
  noise = np.zeros((4, LATENTS), np.float32)
  q, z = posterior(state, noise, image, condition)
  above = noise.copy()
  above[:, :TOP] = 1.0
  moved, _ = posterior(state, above, image, condition)
  below = noise.copy()
  below[:, TOP:] = 1.0
  same, drawn = posterior(state, below, image, condition)
  np.testing.assert_array_equal(moved.mean[:, :TOP], q.mean[:, :TOP])
  assert np.abs(moved.mean[:, TOP:] - q.mean[:, TOP:]).max() > 1e-3
  np.testing.assert_array_equal(same.mean, q.mean)
  std = np.exp(0.5 * np.asarray(q.logvar))
  np.testing.assert_allclose(drawn[:, TOP:], (q.mean + std)[:, TOP:], rtol=1e-5)
  np.testing.assert_allclose(z, q.mean, rtol=1e-6)


def test_draws_of_an_image_are_those_of_its_copies(state, posterior):
  image = unit(batch()["image"])[:2]
  condition = batch()["condition"][:2]
  noise = np.random.default_rng(3).standard_normal((4, LATENTS), np.float32)
  q, z = posterior(state, noise, image, condition)
  twice = posterior(
    state, noise, np.tile(image, (2, 1, 1, 1)), np.tile(condition, (2, 1))
  )
  np.testing.assert_allclose(z, twice[1], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(q.mean, twice[0].mean, rtol=1e-4, atol=1e-5)


def test_one_level_has_the_bound_of_a_plain_vae():
  system = made(shape=(8, 8, 1), model__levels=(1,))
  state = small.drawn(system)
  one = batch((8, 8, 1))
  found = jax.jit(bounds.make_bound(system, 3))(state, one, KEY)
  plain = system._replace(posterior=None)  # of encode, a diagonal Gaussian
  wanted = jax.jit(bounds.make_bound(plain, 3))(state, one, KEY)
  np.testing.assert_allclose(found["iw_bound"], wanted["iw_bound"], rtol=1e-5)


def test_the_bound_is_log_p_where_the_posterior_of_two_levels_is_exact():
  # z = 0.8 e₁ + 0.6 e₂ and x = 1.5 z + 0.5 noise, so all is Gaussian.
  loads = 1.5 * np.array([0.8, 0.6])
  variance = 0.25
  joint = np.linalg.inv(np.eye(2) + np.outer(loads, loads) / variance)
  gain = joint @ loads / variance
  slope = joint[1, 0] / joint[0, 0]
  rest = joint[1, 1] - slope * joint[1, 0]

  def posterior(state, noise, image, condition):
    x = jnp.tile(image.reshape(-1), len(noise) // len(image))
    first = gain[0] * x + np.sqrt(joint[0, 0]) * noise[:, 0]
    mean = gain[1] * x + slope * (first - gain[0] * x)
    means = jnp.stack([gain[0] * x, mean], axis=-1)
    spread = jnp.log(jnp.array([joint[0, 0], rest]))
    q = gaussian.Gaussian(means, jnp.broadcast_to(spread, means.shape))
    z = jnp.stack([first, mean + np.sqrt(rest) * noise[:, 1]], axis=-1)
    return q, z

  def nats(image, mean):
    each = gaussian.Gaussian(mean, jnp.full_like(mean, np.log(variance)))
    return -gaussian.log_density(image.reshape(-1, 1), each)

  system = SimpleNamespace(
    posterior=posterior,
    observe=None,
    outputs=None,
    log_prior=None,
    nats=nats,
    latents=2,
    decode=lambda state, z, c: (z @ loads)[:, None],
  )
  image = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
  found = bounds.make_bound(system, 6, 3)(None, {"image": image}, KEY)
  spread = np.sqrt(loads @ loads + variance)
  wanted = stats.norm.logpdf(image.ravel() / 255.0, 0.0, spread)
  np.testing.assert_allclose(found["iw_bound"], wanted, atol=1e-4)


def test_iwae_s_loss_is_that_of_the_samples_densities():
  changes = {"model.levels": LEVELS, "loss.objective": "iwae"}
  changes["loss.samples"] = 3
  config = configs.load(f"{PAGE},system=vae", changes)
  columns = {"image": SHAPE, "condition": (3,)}
  model = vae.build(config, Facts(columns, rows=60))
  params = small.drawn(made(f"{PAGE},system=vae")).params
  one = batch()
  one["image"] = unit(one["image"])
  loss, (terms, _) = jax.jit(
    lambda: vae_bound.bound_loss(model, params, {}, one, KEY, (None, None), 0)
  )()
  x = one["image"].reshape(4, -1)
  noise = jax.random.normal(jax.random.split(KEY)[0], (12, LATENTS))
  q, z, logits = jax.jit(model.posterior)(
    params, noise, np.tile(x, (3, 1)), np.tile(one["condition"], (3, 1))
  )
  x, z, logits = (np.asarray(a, np.float64) for a in (x, z, logits))
  spread = np.exp(0.5 * np.asarray(q.logvar))
  logs = stats.norm.logpdf(z).sum(-1)
  logs -= stats.norm.logpdf(z, q.mean, spread).sum(-1)
  x = np.tile(x, (3, 1))  # Bernoulli pixels
  logs += (x * logits - np.logaddexp(0.0, logits)).sum(-1)
  bound = special.logsumexp(logs.reshape(3, 4), axis=0) - np.log(3)
  assert float(terms["bound"]) == pytest.approx(bound.mean(), rel=1e-5)
  assert float(loss) == pytest.approx(-bound.mean(), rel=1e-5)


def test_free_bits_are_held_against_the_mean_of_each_level():
  kl = np.array([[3.0, 1.0, 0.1, 0.1, 0.1], [1.0, 1.0, 0.2, 0.1, 0.0]])
  control = kl_control.KLWeight(beta=2.0, free_bits=0.5)
  found = control.penalty(jnp.asarray(kl), 0, (2, 3))
  wanted = 2.0 * (max(3.0, 2 * 0.5) + max(0.3, 3 * 0.5))
  assert float(found) == pytest.approx(wanted)
  each = control.per_example(jnp.asarray(kl), 0, (2, 3))
  np.testing.assert_allclose(each, [2 * (4.0 + 1.5), 2 * (2.0 + 1.5)])


@pytest.mark.parametrize("level", [0, 1])
def test_every_level_is_told_the_condition(cvae, state, level):
  told = state.params["decoder"]
  others = {
    name: jax.tree.map(jnp.zeros_like, branch)
    if name.startswith("told_") and name != f"told_{level}"
    else branch
    for name, branch in told.items()
  }
  alone = state.replace(params={**state.params, "decoder": others})
  z = np.ones((2, LATENTS), np.float32)
  conditions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]], np.float32)
  a, b = cvae.decode(alone, z, conditions)
  assert np.abs(a - b).max() > 1e-4


@pytest.mark.parametrize(
  ("page", "changes"),
  [
    (PAGE, {"loss__likelihood": "logistic", "loss__kl__free_bits": 0.1}),
    (f"{PAGE},system=vae", {"loss__likelihood": "sigma"}),
  ],
)
def test_each_likelihood_trains_and_the_levels_make_up_the_kl(page, changes):
  shape = (11, 9, 3)  # odd sides, of one map
  system = made(page, shape, 2, model__levels=(1,), **changes)
  state = jax.jit(system.init)(KEY)
  step = jax.jit(system.step)
  for at in range(3):
    state, metrics = step(state, batch(shape, 2), KEY, np.int32(at))
  assert int(state.step) == 3
  assert metrics["model/gradient_norm"] > 0
  assert float(metrics["model/kl"]) > 0
  np.testing.assert_allclose(metrics["model/kl_1"], metrics["model/kl"])
  z = np.zeros((4, system.latents), np.float32)
  image = system.decode(state, z, batch(shape, 2)["condition"])
  assert image.shape == (4, *shape)
  assert np.isfinite(image).all()


def test_dense_layers_have_two_between_levels_as_the_paper_s():
  shapes = jax.eval_shape(made(TWO_LAYERS, conditions=0).init, KEY).params
  widths = {
    name: layer["kernel"].shape
    for branch in shapes.values()
    for name, layer in branch.items()
    if name != "start"
  }
  assert widths == {
    "up_1_0": (256, 200),
    "up_1_1": (200, 200),
    "up_0_0": (200, 200),
    "up_0_1": (200, 200),
    "both_0": (400, 200),
    "posterior_0": (200, 4),
    "prior_0": (200, 4),
    "latent_0": (2, 200),
    "mix_0": (200, 200),
    "down_1": (200, 200),
    "both_1": (400, 200),
    "posterior_1": (200, 2),
    "prior_1": (200, 2),
    "latent_1": (1, 200),
    "mix_1": (200, 200),
    "image": (200, 256),
  }


@pytest.mark.parametrize(("side", "count"), [(8, 1), (16, 2), (64, 3)])
def test_there_are_as_many_levels_as_small_images_have_maps(side, count):
  found = hierarchy.level_shapes((side, side, 3), ())
  assert [latents for *_, latents in found] == [8, 4, 2][:count]


@pytest.mark.parametrize(
  ("page", "changes", "said"),
  [
    (PAGE, {"model__levels": (1, 1, 1)}, "maps for up to 2: say fewer"),
    (PAGE, {"prior__name": "conditional"}, "learns the prior of each level"),
    (PAGE, {"loss__objective": "tc"}, "a hierarchy has elbo and iw"),
    (f"{PAGE},system=vae", {"loss__objective": "dreg"}, "has elbo and"),
    (PAGE, {"model__levels": (2, 0)}, "expected 1 or more"),
    (
      TWO_LAYERS,
      {"model__levels": (9, 5, 2)},
      "units of each level; expected 3",
    ),
    (TWO_LAYERS, {"model__levels": (9, 0)}, "expected 1 or more"),
    (TWO_LAYERS, {"model__activation": "step"}, "found 'step'"),
    (PAGE, {"model__width": "huge"}, "one of small, medium, large; found 'h"),
    (f"{PAGE},system=gan", {}, "of system=cvae or vae; found gan"),
    ("configs/images.py:latents=many", {}, "expected vector, hierarchy"),
    ("configs/likelihood.py:latents=many", {}, "expected vector, hierarchy"),
  ],
)
def test_what_a_hierarchy_has_not_is_refused_in_one_line(page, changes, said):
  with pytest.raises(ValueError, match=said) as error:
    made(page, **changes)
  assert "\n" not in str(error.value)
