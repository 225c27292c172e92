"""Sets that are nearly black or nearly white are learnt like any other."""

import jax
import numpy as np
import pytest

from cvae_jax import config as configs, data, runs, train
from cvae_jax.data import Repeated
from cvae_jax.loop.folder.run_data import mean
from cvae_jax.loop.job import prepare
from tests import small

pytestmark = pytest.mark.usefixtures("plain_convolutions")


def spots(bright: bool, count: int = 96) -> tuple[np.ndarray, np.ndarray]:
  """Draw dim spots at one of two places on black, or their negatives."""
  y, x = np.mgrid[:8, :8]
  kind = np.arange(count) % 2
  at = np.where(kind, 5.5, 1.5)[:, None, None]
  spot = 60 * np.exp(-((x - at) ** 2 + (y - at) ** 2) / 2)
  image = spot.astype(np.uint8)[..., None]
  return (255 - image if bright else image), np.array(["a", "b"])[kind]


@pytest.mark.parametrize(
  ("bright", "more"),
  [(False, ""), (True, ""), (False, ",latents=hierarchy")],
)
def test_samples_of_a_dark_or_bright_set_obey_and_differ(
  bright, more, tmp_path, monkeypatch
):
  small.evaluate_nothing(monkeypatch)
  image, kind = spots(bright)
  changes = {"epochs": 25, "optim.lr": 3e-3, "checkpoint_every": 1000}
  changes |= {"evaluate_every_epochs": 25, "log_every": 1000}
  page = configs.load(f"images:smoke{more}", changes)
  dataset = data.from_arrays(image, {"kind": kind})
  train.train_and_evaluate(page, tmp_path, dataset=dataset)
  run = runs.load(tmp_path)
  for name in ("a", "b"):
    found = run.sample(kind=name, count=8).mean(axis=0)
    own = image[kind == name].mean(axis=0) / 255
    other = image[kind != name].mean(axis=0) / 255
    assert np.abs(found - own).max() < 0.5 * np.abs(other - own).max()


def first_bias(system, branch):
  """Initialise a system; only what its picture's bias needs is compiled."""

  def bias(key):
    return system.init(key).params[branch]["net"]["up_0"]["bias"]

  return jax.jit(bias)(jax.random.key(0))


def test_a_decoder_begins_at_the_mean_of_the_training_images():
  image = np.zeros((40, 8, 8, 3), np.uint8)
  image[..., 0] = 51
  image[..., 1] = np.arange(40)[:, None, None]
  image[..., 2] = 255
  assert mean(image) == pytest.approx((0.2, 19.5 / 255, 1.0))
  dataset = data.from_arrays(image, {"kind": ["a", "b"] * 20})
  train_mean = mean(dataset.train["image"])
  for system in ("cvae", "vae", "aae", "gan"):
    page = configs.load(f"images:smoke,system={system}")
    job = prepare(page, dataset=dataset)
    branch = "generator" if system == "gan" else "decoder"
    logits = first_bias(job.system, branch)
    begun = 1 / (1 + np.exp(-np.asarray(logits)))
    np.testing.assert_allclose(
      begun, np.clip(train_mean, 0.01, 0.99), rtol=1e-5
    )


@pytest.mark.parametrize(
  "image",
  [
    None,
    np.zeros((0, 8, 8, 3), np.uint8),
    np.zeros((4, 64), np.uint8),
    Repeated(np.zeros((2, 8, 8, 3), np.uint8), 3),
  ],
)
def test_other_columns_than_images_have_no_mean(image):
  assert mean(image) == ()
