"""What config.loss chooses, in whole systems: one property of each choice."""

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, data as sources
from cvae_jax.data import DataError, load
from cvae_jax.method import likelihoods
from tests import small

KEY = jax.random.key(0)
SHAPE = (28, 28, 1)
SMALL = {
  "zoo.py:vae": {
    "model.latents": 3,
    "model.encoder.widths": (5,),
    "model.decoder.widths": (5,),
  },
  "digits.py:smoke": {
    "model.encoder.features": (2, 2, 2),
    "model.encoder.dense": 4,
    "model.encoder.side": 4,
    "model.encoder.latents": 3,
    "model.decoder.dense": 4,
    "model.decoder.map": (7, 7, 2),
    "model.decoder.features": (2, 2, 1),
  },
}


def made(page, **changes):
  changes = {name.replace("__", "."): v for name, v in changes.items()}
  return configs.resolve(configs.load(f"configs/{page}", SMALL[page] | changes))


def batch(system, size=4):
  rng = np.random.default_rng(0)
  (conditions,) = system.columns["condition"]
  return {
    "image": rng.integers(0, 256, (size, *SHAPE)).astype(np.uint8),
    "condition": rng.uniform(0, 1, (size, conditions)).astype(np.float32),
  }


def stepped(system, steps=2, state=None):
  """Return the state after some steps and the last metrics."""
  state = small.drawn(system) if state is None else state
  step = jax.jit(system.step)
  for at in range(steps):
    state, metrics = step(state, batch(system), KEY, np.int32(at))
  assert int(state.step) == steps
  return state, {k: float(v) for k, v in metrics.items()}


@pytest.mark.parametrize("page", SMALL)
@pytest.mark.parametrize("name", ["sigma", "continuous_bernoulli", "logistic"])
def test_each_likelihood_trains_and_its_elbo_is_nats_and_kl(page, name):
  own = {"loss__mixture": 2} if name == "logistic" else {}
  system = made(page, loss__likelihood=name, **own)
  state, metrics = stepped(system)
  assert metrics["model/gradient_norm"] > 0
  terms = jax.jit(system.evaluate)(state, batch(system), KEY)
  elbo = -np.asarray(terms["reconstruction"]) - np.asarray(terms["kl"])
  np.testing.assert_allclose(terms["elbo"], elbo, rtol=1e-5)
  if name == "logistic":
    bits = -elbo / (math.prod(SHAPE) * math.log(2))
    np.testing.assert_allclose(terms["bits_per_dim"], bits, rtol=1e-5)
  z = np.zeros((4, system.latents), np.float32)
  image = jax.jit(system.decode)(state, z, batch(system)["condition"])
  assert image.shape == (4, *SHAPE)
  of = jax.jit(system.outputs)(state, z, batch(system)["condition"])
  assert np.isfinite(system.nats(batch(system)["image"] / 255.0, of)).all()


def test_a_learned_variance_moves_and_each_channel_has_its_own():
  system = made("zoo.py:vae", loss__likelihood="sigma", loss__sigma="learned")
  state, _ = stepped(system, state=jax.jit(system.init)(KEY))
  logvar = state.params[likelihoods.BRANCH]["logvar"]
  assert logvar.shape == (1,)
  assert float(logvar[0]) != 0


@pytest.mark.parametrize("page", SMALL)
def test_the_elbo_is_the_same_whatever_weighs_the_kl(page):
  plain = made(page)
  state = small.drawn(plain)
  expected = jax.jit(plain.evaluate)(state, batch(plain), KEY)
  weighed = made(page, loss__beta=3.0, loss__kl__free_bits=0.5)
  found = jax.jit(weighed.evaluate)(state, batch(weighed), KEY)
  np.testing.assert_allclose(found["elbo"], expected["elbo"], rtol=1e-6)
  more = 2.0 * np.asarray(expected["kl"])
  assert (found["loss"] >= expected["loss"] + more - 1e-3).all()


@pytest.mark.parametrize("objective", ["iwae", "dreg"])
def test_a_bound_of_several_samples_is_above_the_elbo(objective):
  system = made(
    "zoo.py:vae",
    loss__objective=objective,
    loss__samples=5,
    loss__binarise=True,
  )
  _, metrics = stepped(system)
  assert metrics["model/bound"] > metrics["model/elbo"]
  assert metrics["model/loss"] == pytest.approx(-metrics["model/bound"])


def test_without_a_kl_dreg_and_iwae_take_the_same_step():
  # At β = 0 the weights are p(x | z): q has no score, so nothing is left out.
  after = {}
  for objective in ("iwae", "dreg"):
    system = made(
      "zoo.py:vae",
      loss__objective=objective,
      loss__samples=5,
      loss__kl__warmup=100,
      optim__name="sgd",
      optim__lr=0.01,
    )
    after[objective] = stepped(system, steps=1)[0].params
  first = small.drawn(system).params["encoder"]
  jax.tree.map(
    lambda a, b, old: np.testing.assert_allclose(
      a - old, b - old, rtol=1e-3, atol=1e-6
    ),
    *(after[name]["encoder"] for name in ("iwae", "dreg")),
    first,
  )


@pytest.mark.parametrize("page", SMALL)
@pytest.mark.parametrize("name", ["conditional", "mixture", "vamp"])
def test_each_prior_trains_and_is_learned(page, name):
  changes = {"prior__name": name}
  if name != "conditional":
    changes["prior__components"] = 3
  if page.startswith("zoo"):
    page = "zoo.py:vae"
    changes |= {"data__condition": "class", "data__conditions": 10}
  system = made(page, **changes)
  first = jax.jit(system.init)(KEY)
  state, metrics = stepped(system, state=first)
  assert metrics["model/gradient_norm"] > 0
  moved = jax.tree.map(
    lambda a, b: float(np.abs(a - b).max()),
    first.params["prior"],
    state.params["prior"],
  )
  assert max(jax.tree.leaves(moved)) > 0
  if name != "conditional":  # which draws N(0, I), placed by the condition
    z = jax.jit(system.draw, static_argnums=2)(state, KEY, 5)
    assert z.shape == (5, 3)
    assert np.isfinite(jax.jit(system.log_prior)(state, z)).all()


@pytest.mark.parametrize(
  ("page", "changes"),
  [
    ("digits.py:smoke", {"prior__name": "vamp", "prior__components": 3}),
    ("zoo.py:vae", {"prior__name": "mixture", "prior__components": 3}),
    ("zoo.py:vae", {"loss__objective": "factor"}),
  ],
)
def test_l2_is_of_the_kernels_of_encoder_and_decoder_alone(page, changes):
  system = made(page, loss__l2=0.5, **changes)
  state = jax.jit(system.init)(KEY)
  expected = 0.0
  for branch in ("encoder", "decoder"):
    for layer in state.params[branch].values():
      kernel = np.asarray(layer["kernel"], np.float64)
      of_loss = kernel.ndim == (4 if page.startswith("digits") else 2)
      expected += 0.5 * (kernel**2).sum() * of_loss
  _, metrics = stepped(system, steps=1, state=state)
  assert metrics["model/l2"] == pytest.approx(expected, rel=1e-5)


def test_static_binarisation_draws_each_value_once_by_its_mean(data):
  given = {"name": "digits", "path": str(data), "source": "mnist"}
  given |= {"ink": "per_class", "labels": -1}
  grey = load(SimpleNamespace(**given)).train["image"]
  drawn, again = (
    load(SimpleNamespace(**given, binarise="static")).train["image"]
    for _ in range(2)
  )
  np.testing.assert_array_equal(drawn, again)
  assert set(np.unique(drawn)) == {0, 255}
  assert (drawn[grey == 0] == 0).all()
  assert (drawn[grey == 255] == 255).all()
  between = (grey > 0) & (grey < 255)
  error = 4 * 128 / np.sqrt(between.sum())
  assert abs(drawn[between].mean() - grey[between].mean()) < error


def test_static_binarisation_draws_every_split():
  image = np.full((4, 2, 2, 1), 128, np.uint8)
  found = sources.binarise(
    sources.Dataset({"image": image}, {"image": image}, None, "own")._replace(
      valid={"image": image}
    ),
    SimpleNamespace(binarise="static"),
  )
  for split in (found.train, found.test, found.valid):
    assert set(np.unique(split["image"])) <= {0, 255}


def test_an_unknown_binarisation_is_refused(data):
  with pytest.raises(DataError, match=r"data.binarise is one of .*'twice'"):
    load(
      SimpleNamespace(
        name="digits",
        path=str(data),
        source="mnist",
        ink="per_class",
        labels=-1,
        binarise="twice",
      )
    )


def test_dynamic_binarisation_of_the_cvae_has_other_values_each_time():
  system = made("digits.py:smoke", data__binarise="dynamic")
  image = np.full((4, *SHAPE), 0.5, np.float32)
  one, two = (system.observe(jax.random.key(seed), image) for seed in (0, 1))
  assert set(np.unique(one)) == {0, 1}
  assert (np.asarray(one) != np.asarray(two)).any()
