"""Photos: packaged ones, prepared ones, and what preparing leaves out."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from cvae_jax import config, data
from cvae_jax.data import DataError, photos
from cvae_jax.data.files import (
  image_files,
  packaged_photos,
  prepared as prepared_sets,
)
from cvae_jax.loop import batches

ROOT = Path(__file__).parents[1]


def load_script():
  path = ROOT / "data" / "prepare_photos.py"
  spec = importlib.util.spec_from_file_location("prepare_photos", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


SCRIPT = load_script()


def settings(**changes):
  found = config.load("configs/colour.py:model=3,prepared").data
  return ConfigDict(found.to_dict() | changes)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  """A folder of twelve photos of all kinds, three of them no good."""
  folder = tmp_path_factory.mktemp("photos")
  rng = np.random.default_rng(0)
  for i in range(8):
    pixels = rng.integers(0, 256, (30 + 5 * i, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{i}.png")
  clear = np.full((40, 40, 4), (200, 30, 30, 0), np.uint8)
  clear[:20, :, 3] = 255
  Image.fromarray(clear).save(folder / "clear.png")
  Image.new("L", (20, 20), 90).save(folder / "grey.png")
  (folder / "torn.jpg").write_bytes(b"\xff\xd8 no photo")
  palette = Image.fromarray(pixels).quantize(16)
  palette.save(folder / "palette.gif")
  (folder / "notes.txt").write_text("no photo either")
  return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
  out = tmp_path_factory.mktemp("set") / "photos_112"
  assert SCRIPT.main([f"--images={source}", f"--out={out}"]) == 0
  return out


def test_what_is_left_out_is_named_with_its_reason(source, tmp_path, capsys):
  assert SCRIPT.main([f"--images={source}", f"--out={tmp_path}"]) == 0
  said = capsys.readouterr().out
  assert "left out: torn.jpg: not a whole image" in said
  assert "left out: grey.png: a grey photo (mean chroma 0.0)" in said
  assert "10 photos in" in said
  _, table, info = prepared_sets.read(tmp_path, 112)
  assert {*info["skipped"]} == {"torn.jpg", "grey.png"}
  kept = [*map(str, range(8)), "clear", "palette"]
  assert sorted(Path(f).stem for f in table["file"]) == sorted(kept)


def test_photos_become_squares_by_opencv_s_rule(source, made):
  images, table, _ = prepared_sets.read(made, 112)
  assert isinstance(images, np.memmap)
  row = table["file"].tolist().index("3.png")
  whole = np.asarray(Image.open(source / "3.png"))
  expected = image_files.resize_bilinear(whole, 112)
  np.testing.assert_array_equal(images[row], expected)
  clear = images[table["file"].tolist().index("clear.png")]
  assert (clear[:50] == (200, 30, 30)).all()
  assert (clear[60:] == 255).all()  # what is transparent lies on white


def test_grey_photos_may_stay_and_corrupt_ones_may_be_fatal(
  source, tmp_path, capsys
):
  flags = [f"--images={source}", f"--out={tmp_path / 'a'}"]
  assert SCRIPT.main([*flags, "--on_grey=keep", "--shape=middle"]) == 0
  assert "11 photos in" in capsys.readouterr().out
  images, table, _ = prepared_sets.read(tmp_path / "a", 112)
  grey = images[table["file"].tolist().index("grey.png")]
  assert (grey == 90).all()
  whole = np.asarray(Image.open(source / "7.png"))  # 65 rows of 60
  expected = image_files.resize_bilinear(whole[2:62], 112)
  row = table["file"].tolist().index("7.png")
  np.testing.assert_array_equal(images[row], expected)
  flags[1] = f"--out={tmp_path / 'b'}"
  assert SCRIPT.main([*flags, "--on_corrupt=fail"]) == 1
  assert "torn.jpg: not a whole image" in capsys.readouterr().err


def test_a_zip_gives_the_same_set_and_again_changes_nothing(
  source, made, tmp_path, capsys
):
  archive = shutil.make_archive(tmp_path / "photos", "zip", source)
  out = tmp_path / "out"
  assert SCRIPT.main([f"--images={archive}", f"--out={out}"]) == 0
  name = prepared_sets.IMAGES
  assert (out / name).read_bytes() == (made / name).read_bytes()
  assert SCRIPT.main([f"--images={archive}", f"--out={out}"]) == 0
  assert "already prepared" in capsys.readouterr().out
  other = [f"--images={archive}", f"--out={out}", "--shape=middle"]
  assert SCRIPT.main(other) == 1
  assert "middle False → True" in capsys.readouterr().err
  empty = tmp_path / "empty"
  empty.mkdir()
  assert SCRIPT.main([f"--images={empty}", f"--out={out}"]) == 1
  assert "no image in it" in capsys.readouterr().err


def test_a_row_is_a_cell_and_a_photo_is_stored_once(made):
  dataset = data.load(settings(path=str(made), train_images=6, test_images=3))
  images, _, _ = prepared_sets.read(made, 112)
  photo = dataset.train["photo"]
  cell = dataset.train["cell"]
  assert photo.shape == (6 * 196, 112, 112, 3)
  assert photo.nbytes == 6 * 112 * 112 * 3
  assert np.shares_memory(photo.entries, images) or isinstance(
    photo.entries, np.memmap
  )
  rows = np.array([0, 195, 196, 1175])
  np.testing.assert_array_equal(photo.at(rows), images[[0, 0, 1, 5]])
  np.testing.assert_array_equal(cell[rows], [0, 195, 0, 195])
  held_out = dataset.test["photo"]
  np.testing.assert_array_equal(held_out.entries, images[-3:])
  assert dataset.conditions.photos == 6
  saved = json.loads(json.dumps(dataset.conditions.to_json()))
  assert photos.Conditions.from_json(saved) == dataset.conditions


def test_the_source_s_epochs_have_its_numbers_of_samples():
  for count, samples in ((100, 19_584), (899, 176_192)):
    rows = count * photos.CELLS
    assert batches.steps_per_epoch(rows, 32) * 32 == samples


def test_mirror_images_train_and_are_not_held_out(made):
  plain, mirrored = (
    data.load(settings(path=str(made), train_images=6, test_images=3, **more))
    for more in ({}, {"mirrored": True})
  )
  photos, entries = (d.train["photo"].entries for d in (plain, mirrored))
  assert len(entries) == 2 * len(photos) == 12
  np.testing.assert_array_equal(entries[6:], photos[:, :, ::-1])
  assert mirrored.train["cell"].shape == (12 * 196,)
  held_out = mirrored.test["photo"].entries
  np.testing.assert_array_equal(held_out, plain.test["photo"].entries)


def test_train_images_0_leaves_a_fifth_out(made):
  dataset = data.load(settings(path=str(made), train_images=0, test_images=0))
  assert len(dataset.train["photo"].entries) == 8
  assert len(dataset.test["photo"].entries) == 2


def test_too_few_photos_and_none_at_all_are_explained(made, tmp_path):
  with pytest.raises(DataError, match=r"has 10 photos; train_images=100"):
    data.load(settings(path=str(made)))
  with pytest.raises(DataError, match=r"make: python data/prepare_photos.py"):
    data.load(settings(path=str(tmp_path / "nowhere")))
  with pytest.raises(DataError, match="packages, prepared; found 'web'"):
    data.load(settings(source="web"))


@pytest.mark.parametrize(
  "asked", [{"train_images": 100}, {"test_images": 5}, {"train_images": -3}]
)
def test_more_packaged_photos_than_there_are_is_explained(asked):
  pytest.importorskip("skimage")
  asked = {"train_images": 0, "test_images": 0} | asked
  with pytest.raises(DataError, match=r"36 photos to train on and 2 to hold"):
    data.load(settings(source="packages", **asked))


def test_packaged_photos_need_no_download():
  pytest.importorskip("skimage")
  dataset = data.load(
    settings(source="packages", train_images=0, test_images=0)
  )
  train, test = (s["photo"].entries for s in (dataset.train, dataset.test))
  assert (train.shape, test.shape) == (
    (36, 112, 112, 3),
    (2, 112, 112, 3),
  )
  for photo in (*train, *test):
    assert np.ptp(photo, axis=-1).mean() > 5  # each has colours
  assert len(np.unique(train.reshape(36, -1), axis=0)) == 36


def test_a_package_that_is_not_there_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(DataError, match="pip install scikit-image"):
    packaged_photos.read(112)
