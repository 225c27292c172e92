"""A picture is edited with a run on any data, its conditions said in words."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cvae_jax import config as configs, runs, train
from cvae_jax.apps import word_editing as editing
from cvae_jax.data import DataError
from cvae_jax.data.files import shapes
from cvae_jax.runs import RunError
from tests import small
from tests.prepare_images_test import prepare

pytestmark = pytest.mark.usefixtures("plain_convolutions")
OWN = {"shape": "circle", "colour": "red", "size": 0.5, "angle": 20.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run of one epoch on 80 drawn shapes of 16 pixels."""
  base = tmp_path_factory.mktemp("words")
  shapes.write(base / "files", 80, side=16)
  assert prepare(base / "files", base / "set", "--size=16") == 0
  config = configs.load("images:smoke", {"data.path": str(base / "set")})
  train.train_and_evaluate(config, base / "run")
  return runs.load(base / "run")


@pytest.fixture
def picture(tmp_path):
  path = tmp_path / "mine.png"
  noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
  Image.fromarray(noise).save(path)
  return path


def test_an_edit_encodes_what_is_and_decodes_what_is_to_be(run, picture):
  image = editing.read(run, picture)
  assert image.shape == (16, 16, 3)
  made = editing.edit(run, image, OWN, [{"shape": "square"}, {"size": 0.9}])
  encode = run.conditions.encode
  z = run.encode(image[None], encode(OWN)).mean
  for found, wanted in zip(
    made, ({}, {"shape": "square"}, {"size": 0.9}), strict=True
  ):
    expected = run.decode(z, encode({**OWN, **wanted}))[0].clip(0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_sweep_shows_each_level(run, picture):
  image = editing.read(run, picture)
  swept = editing.sweep(run, image, OWN, "shape")
  levels = [{"shape": name} for name in ("circle", "square", "triangle")]
  np.testing.assert_array_equal(
    swept, editing.edit(run, image, OWN, levels)[1:]
  )


def test_what_a_picture_shows_is_said_or_found(run, picture):
  image = editing.read(run, picture)
  words = "shape=circle,colour=red,size=0.5,angle=20"
  encode = run.conditions.encode
  said = encode(editing.find_own(run, image, words))
  np.testing.assert_array_equal(said, encode(OWN))
  found = editing.find_own(run, image, None)
  assert found.keys() == OWN.keys()


@pytest.mark.parametrize(
  ("call", "error", "said"),
  [
    (
      lambda run, image: editing.sweep(run, image, OWN, "sise"),
      RunError,
      "no such attribute; the run has shape, colour",
    ),
    (
      lambda run, image: editing.find_own(run, image, "shape=star"),
      DataError,
      "circle, square, triangle",
    ),
  ],
)
def test_what_there_is_not_is_said_in_a_line(run, picture, call, error, said):
  with pytest.raises(error, match=said):
    call(run, editing.read(run, picture))


def test_a_run_that_encodes_no_images_says_so(run, picture):
  blind = dataclasses.replace(run, system=run.system._replace(encode=None))
  with pytest.raises(RunError, match="does not encode and decode"):
    editing.read(blind, picture)


def test_the_command_draws_edits_sweeps_and_a_walk(
  run, picture, tmp_path, monkeypatch
):
  module, flags = small.command("edit")
  given = {
    "image": str(picture),
    "workdir": str(run.folder),
    "condition": "shape=circle,colour=red,size=0.5,angle=20",
    "set": ["shape=square"],
    "sweep": ["size"],
    "square": [],
    "crop": 0,
    "towards": str(picture),
    "out": str(tmp_path / "out.png"),
  }
  assert given.keys() <= flags.keys()
  for name, value in given.items():
    flag = SimpleNamespace(name=name, value=value)
    monkeypatch.setattr(module, f"_{name.upper()}", flag)
  module.main([])
  with Image.open(tmp_path / "out.png") as drawn:
    assert drawn.width > 2 * drawn.height  # three pictures in a row
  for name in ("out_size", "out_towards"):
    assert (tmp_path / f"{name}.png").exists()
  monkeypatch.setattr(module, "_CROP", SimpleNamespace(value=3))
  with pytest.raises(RunError, match="--crop are for runs on faces"):
    module.main([])
