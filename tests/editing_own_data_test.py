"""A picture is edited with a run on any data, its conditions said in words."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax import config as configs, runs, train
from cvae_jax.apps import editing, own_picture
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


def test_a_picture_is_its_largest_middle_part_in_the_size_of_the_run(
  run, picture
):
  image = own_picture.read(run, picture, how="crop")
  assert image.shape == (16, 16, 3)
  sides = np.full((40, 60, 3), 255, np.uint8)
  sides[:, 10:50] = (200, 100, 0)
  Image.fromarray(sides).save(picture)
  cut = own_picture.read(run, picture, how="crop")
  assert (cut == (200, 100, 0)).all()


@pytest.mark.parametrize("how", ["crop", "squash", "pad"])
@pytest.mark.parametrize("resize", ["antialias", "bilinear"])
def test_a_training_image_s_file_is_read_as_the_training_image(
  resize, how, tmp_path
):
  noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
  files = tmp_path / "files"
  files.mkdir()
  for i in range(10):
    Image.fromarray(np.roll(noise, i, axis=1)).save(files / f"{i}.png")
  words = ("--size=16", f"--fit={how}", f"--resize={resize}")
  assert prepare(files, tmp_path / "set", *words) == 0
  row = (
    pd.read_csv(tmp_path / "set/attributes.csv").file.tolist().index("3.png")
  )
  stated = {"name": "images", "path": str(tmp_path / "set")}
  run = SimpleNamespace(
    config=SimpleNamespace(data=SimpleNamespace(**stated)),
    system=SimpleNamespace(columns={"image": (16, 16, 3)}),
  )
  expected = np.load(tmp_path / "set/images.npy")[row]
  found = own_picture.read(run, files / "3.png")
  np.testing.assert_array_equal(found, expected)


def test_a_picture_of_another_shape_is_squashed_or_padded_if_so_asked(
  run, picture
):
  sides = np.full((40, 60, 3), 200, np.uint8)
  sides[:, 50:] = 50
  Image.fromarray(sides).save(picture)
  squashed = own_picture.read(run, picture, how="squash")
  assert (squashed[:, :12] == 200).all()
  assert (squashed[:, 14:] == 50).all()
  padded = own_picture.read(run, picture, how="pad")
  assert (padded[:2] == 0).all()
  assert (padded[4:12, :12] == 200).all()
  assert (own_picture.read(run, picture) == squashed).all()


def test_a_user_learns_how_a_picture_of_another_shape_is_fitted(run, picture):
  def describe(how=None):
    return own_picture.describe_fit(run, picture, how)

  assert "the middle 40×40 are used" in describe("crop")
  assert "fitted by squash, as the training images were" in describe()
  assert describe("squash") == ""
  Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(picture)
  assert describe("crop") == describe() == ""


def test_without_its_prepared_set_a_run_crops(run, picture, tmp_path):
  data = run.config.data.copy_and_resolve_references()
  data.path = str(tmp_path / "gone")
  config = SimpleNamespace(data=data)
  elsewhere = SimpleNamespace(config=config, system=run.system)
  assert own_picture.find_fit(elsewhere) == "crop"
  assert "--fit=squash or pad" in own_picture.describe_fit(elsewhere, picture)


def test_what_a_picture_shows_is_found_among_all_levels(run, picture):
  image = own_picture.read(run, picture)
  reading = editing.find(run, image)
  assert reading.values.keys() == OWN.keys()
  assert "best of 300" in reading.notes[0]  # 3 shapes · 4 colours · 5 · 5


def test_a_run_that_is_told_nothing_is_edited_without_words(run):
  blind = dataclasses.replace(
    run, system=run.system._replace(columns={"image": (16, 16, 3)})
  )
  assert editing.find(blind, np.zeros((16, 16, 3))).values == {}
  assert editing.vector(blind, {}).shape == (1, 0)


def test_the_command_draws_edits_sweeps_and_a_walk(
  run, picture, tmp_path, monkeypatch
):
  module, flags = small.command("edit")
  given = {
    "image": str(picture),
    "workdir": str(run.folder),
    "condition": "shape=circle,colour=red,size=0.5,angle=20",
    "set": ["shape=square"],
    "sweep": ["size", "shape"],
    "square": [],
    "crop": 0,
    "fit": "crop",
    "towards": str(picture),
    "towards_condition": "shape=square,colour=blue,size=0.5,angle=20",
    "out": str(tmp_path / "out.png"),
  }
  assert given.keys() <= flags.keys()
  for name, value in given.items():
    flag = SimpleNamespace(name=name, value=value)
    monkeypatch.setattr(module, f"_{name.upper()}", flag)
  module.main([])
  with Image.open(tmp_path / "out.png") as drawn:
    assert drawn.width > 2 * drawn.height  # three pictures in a row
  for name in ("out_sweeps", "out_towards"):
    assert (tmp_path / f"{name}.png").exists()
  mute = run.system._replace(nats=None)
  deaf = dataclasses.replace(run, system=mute)
  flag = SimpleNamespace(name="towards_condition", value=None)
  with pytest.raises(RunError, match="with --towards_condition, a value for"):
    module._find_condition(deaf, picture, np.zeros((16, 16, 3)), flag)
  monkeypatch.setattr(module, "_CROP", SimpleNamespace(value=3))
  with pytest.raises(RunError, match="--crop are for runs on faces"):
    module.main([])
  blind = dataclasses.replace(run, system=run.system._replace(encode=None))
  with pytest.raises(RunError, match="does not encode and decode"):
    module._check(blind)
