"""Adversarial autoencoders: every player's loss in NumPy, noise, refusals."""

import functools

import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.loop import job
from cvae_jax.method import priors
from tests import arithmetic as a, small_zoo as zoo

LEAKY = functools.partial(a.leaky, slope=0.15)


def judged(z, slot, params, real):
  judge = params["discriminator"]
  (logit,) = a.mlp(np.hstack([z, slot]), judge, LEAKY, "logit")
  return a.cross_entropy(logit[:, 0], real)


@pytest.mark.parametrize("name", ["aae", "ilaae", "ilaae,labels=100"])
def test_adversaries_are_judged_in_their_slots(name):
  """Compares each player's loss with NumPy, known draws for the prior's."""
  rng = np.random.default_rng(0)
  sets = 2 if "labels" in name else 1
  drawn = priors.Draw(
    rng.normal(size=(sets * zoo.BATCH, 2)).astype(np.float32),
    rng.integers(0, 10, sets * zoo.BATCH).astype(np.int32),
  )
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(priors.PRIORS, "normal", lambda *_: drawn)
    system = zoo.Small(name)
    state = system.state
    losses = {
      player: system.loss(state, player)[0]
      for player in ("autoencoder", "discriminator", "generator")
    }
  params = zoo.float64(state.params)

  def encode(column):
    x = zoo.flat(zoo.batch()[column])
    return a.mlp(x, params["encoder"], LEAKY, "code")[0]

  codes = encode("image")
  draws = drawn.z
  fake = real = np.zeros((zoo.BATCH, 0))
  if name != "aae":
    size = system.config.model.slots
    fake = np.eye(size)[zoo.batch()["label"]]
    real = np.eye(size)[drawn.region[-zoo.BATCH :]]
    codes = encode("labelled_image")
  if "labels" in name:
    codes = np.vstack([encode("image"), codes])
    last = np.tile(np.eye(11)[10], (zoo.BATCH, 1))
    fake = np.vstack([last, fake])
    real = np.vstack([last, real])
  expected = judged(codes, fake, params, False).mean()
  generator = judged(codes, fake, params, True).mean()
  expected += judged(draws, real, params, True).mean()
  np.testing.assert_allclose(losses["discriminator"], expected, rtol=1e-5)
  np.testing.assert_allclose(losses["generator"], generator, rtol=1e-5)
  (logits,) = a.mlp(encode("image"), params["decoder"], LEAKY, "logits")
  error = (zoo.flat(zoo.batch()["image"]) - a.sigmoid(logits)) ** 2
  np.testing.assert_allclose(losses["autoencoder"], error.mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("noise", ["gaussian", "dropout"])
def test_noise_on_the_input_only_disturbs_training(noise):
  system = zoo.made("aae", model__noise=noise)
  quiet = np.asarray(
    system.evaluate(system.state, zoo.batch(0), zoo.KEY)[
      "weighted_squared_error"
    ]
  )
  assert abs(system.loss(system.state, "autoencoder")[0] - quiet.mean()) > 5e-7


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model__slots": 3}, r"slots=3: expected 0 \(no labels\), 10"),
    ({"model__slots": 10, "model__latents": 5}, "latents are 2, found 5"),
    ({"model__prior": "cube"}, "normal, swiss_roll, mixture; found 'cube'"),
  ],
)
def test_an_adversarial_model_that_cannot_be_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    zoo.Small("aae", **changes)


@pytest.mark.parametrize("name", ["ilaae", "ilaae,labels=100"])
def test_places_of_classes_need_labels(name):
  config = configs.load(f"zoo:{name},smoke", {"data.labels": 0})
  with pytest.raises(configs.ConfigError, match=r"labels=0 hides the classes"):
    job.prepare(config)
