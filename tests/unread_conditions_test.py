"""Runs on labelled data whose decoder reads no condition, and say so."""

import dataclasses

import numpy as np
import pytest

from cvae_jax import config as configs, data, runs, train
from cvae_jax.apps import editing
from cvae_jax.apps.export import card
from cvae_jax.apps.page import controls
from cvae_jax.loop.run import pictures
from cvae_jax.runs import RunError

MLPS = ("encoder", "decoder", "discriminator")


@pytest.fixture(scope="module")
def dataset():
  images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 1), np.uint8)
  return data.from_arrays(images, {"shape": ["circle", "square"] * 30})


def trained(folder, dataset, name):
  """Return a run of small networks of the zoo."""
  widths = {f"model.{net}.widths": (8,) for net in MLPS}
  if name == "vae":
    del widths["model.discriminator.widths"]
  config = configs.load(f"zoo:{name},smoke", widths | {"batch_size": 16})
  train.train_and_evaluate(config, folder, dataset=dataset)
  return runs.load(folder)


@pytest.fixture(scope="module")
def aae(dataset, tmp_path_factory):
  return trained(tmp_path_factory.mktemp("aae") / "aae", dataset, "aae")


@pytest.fixture(scope="module")
def vae(dataset, tmp_path_factory):
  return trained(tmp_path_factory.mktemp("vae") / "vae", dataset, "vae")


def test_a_decoder_that_reads_no_condition_is_known(aae, vae):
  assert not aae.reads_condition
  assert vae.reads_condition
  columns = {k: v for k, v in aae.system.columns.items() if k != "condition"}
  system = aae.system._replace(columns=columns)
  assert not dataclasses.replace(aae, system=system).reads_condition


def test_nothing_can_be_asked_of_a_decoder_that_reads_no_condition(aae, vae):
  for ask in (
    lambda run: run.sample(shape="circle"),
    lambda run: pictures.draw(run, "shape=circle"),
    lambda run: pictures.draw(run, sweep="shape"),
    lambda run: pictures.draw(run, grid=["shape"]),
    lambda run: run.edit(
      np.zeros((1, 12, 12, 1)), np.eye(2)[:1], "shape=square"
    ),
  ):
    ask(vae)
    with pytest.raises(RunError, match=r"'aae', reads no condition.*fitted"):
      ask(aae)
  picture = pictures.draw(aae)
  assert not picture.note
  assert picture.images.shape == (1, 8, 12, 12, 1)


def test_no_control_and_no_card_offers_a_condition_that_is_not_read(aae, vae):
  assert not editing.attributes(aae)
  assert not controls.from_run(aae)
  assert "\nA generative model" in card.write(aae, {}, [])
  assert [a.name for a in editing.attributes(vae)] == ["shape"]
  assert len(controls.from_run(vae)) == 1
  assert "\nA conditional generative model" in card.write(vae, {}, [])


def test_a_fitted_prior_is_asked_for_the_classes_of_the_data(aae, dataset):
  fitted = aae.with_prior("fitted", dataset)
  one, other = (fitted.request(shape=s).vectors for s in ("circle", "square"))
  assert np.abs(one - other).max() == 1
  assert np.abs(fitted.prior(1, 0, one) - fitted.prior(1, 0, other)).max() > 0
  found = aae.sample(shape="circle", prior="fitted")
  np.testing.assert_array_equal(found, fitted.sample(shape="circle"))
