"""Other libraries' losses as β, against the losses themselves."""

import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.apps import explain
from cvae_jax.method.conventions import Convention, translate
from cvae_jax.types import Facts
from tests import small

RNG = np.random.default_rng(0)
VALUES = 48
LATENTS = 5
ERROR = RNG.uniform(0, 1, (2, VALUES)) ** 2
KL = RNG.gamma(1, 1, (2, LATENTS))


@pytest.mark.parametrize("kind", ["mse", "bce"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("kl_reduce", ["sum", "mean"])
def test_a_loss_is_its_translation_but_for_a_factor(kind, reduce, kl_reduce):
  loss = Convention(kind, reduce, 3.0, kl_reduce, 0.2)
  theirs = 3.0 * getattr(ERROR, reduce)(-1) + 0.2 * getattr(KL, kl_reduce)(-1)
  found = translate(loss, VALUES, LATENTS)
  scale = 0.5 if kind == "mse" else 1.0
  ours = scale * ERROR.sum(-1) + found.beta * KL.sum(-1)
  np.testing.assert_allclose(theirs[0] / theirs[1], ours[0] / ours[1])
  if kind == "mse":
    nats = ERROR.sum(-1) / (2 * found.variance) + KL.sum(-1)
    np.testing.assert_allclose(theirs[0] / theirs[1], nats[0] / nats[1])
    np.testing.assert_allclose(found.mse, 1 / (2 * found.variance))


def test_the_faces_ladder_s_w_is_a_beta_of_thousands():
  # W · mean squared error + KL, over 43,200 values (the page's docstring).
  found = translate(Convention("mse", "mean", 100.0), 43_200, 40)
  assert found.beta == pytest.approx(43_200 / 200)


def test_weights_of_0_are_refused():
  with pytest.raises(ValueError, match="above 0"):
    translate(Convention(weight=0.0), 10, 2)


def test_a_page_s_loss_is_explained_with_what_it_sets():
  config = configs.load(
    "configs/digits.py:smoke",
    small._FILES["cvae"][1] | {"loss.likelihood": "sigma", "loss.beta": 2.0},
  )
  text = "\n".join(explain.lines(config))
  assert "nats of Sigma" in text
  assert "loss.likelihood=sigma" in text
  assert "loss.beta=2.0" in text


@pytest.mark.parametrize(
  ("key", "value", "said"),
  [
    ("loss.beta", 4.0, "4 × KL summed over latents"),
    ("loss.kl.capacity", 5.0, "KL (capacity=5) summed over latents"),
  ],
)
@pytest.mark.parametrize("page", ["digits", "colour"])
def test_a_weighed_kl_is_explained_as_such(page, key, value, said):
  text = "\n".join(explain.lines(configs.load(page, {key: value})))
  assert said in text
  assert "= −ELBO" not in text


def test_the_beta_of_a_page_is_that_of_its_loss():
  config = configs.load("digits:model=4", {"loss.beta": 4.0})
  loss = Convention("mse", "sum", config.loss.mse, "sum", config.loss.beta)
  beta = translate(loss, 784, config.model.encoder.latents).beta
  assert f"β = {beta:g}" in "\n".join(explain.lines(config))


@pytest.mark.parametrize(
  ("page", "logs"), [("zoo:vae", True), ("compare:gan", 0)]
)
def test_the_elbo_is_explained_where_one_is_logged(page, logs):
  text = "\n".join(explain.lines(configs.load(page)))
  assert ("logged as elbo" in text) == logs


def test_a_page_that_knows_no_size_of_images_says_what_to_explain_instead():
  config = configs.load("configs/images.py:latents=hierarchy")
  with pytest.raises(configs.ConfigError, match="give a run on them"):
    explain.lines(config)
  shape = {"image": (16, 16, 3), "condition": (2,)}
  text = "\n".join(explain.lines(config, Facts(shape)))
  assert "levels, 4×4 × 8, 8×8 × 4, top first" in text
