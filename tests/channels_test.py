"""Images of any number of channels: shown in colour, trained, refused."""

import numpy as np
import pytest
from PIL import Image

from cvae_jax import config as configs, data, runs, train
from cvae_jax.apps import own_picture
from cvae_jax.apps.explore import markup
from cvae_jax.apps.photo import PhotoError
from cvae_jax.host import channels, images

MANY = (2, 4, 5, 8, 13)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_and_rgb_are_shown_as_they_are(count, dtype):
  given = np.arange(2 * 4 * count).reshape(2, 4, count).astype(dtype)
  np.testing.assert_array_equal(channels.visible(given), given)


@pytest.mark.parametrize("count", MANY)
def test_each_channel_has_a_colour_of_its_own_and_all_together_are_white(count):
  alone = channels.visible(255 * np.eye(count, dtype=np.uint8))
  assert alone.shape == (count, 3)
  assert len({tuple(colour) for colour in alone.tolist()}) == count
  assert alone.max(axis=1).tolist() == [255] * count
  ends = np.array([[0] * count, [255] * count], np.uint8)
  assert channels.visible(ends).tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("count", MANY)
def test_colours_are_laid_over_each_other_as_light_is(count):
  given = np.random.default_rng(count).uniform(0, 1, (6, count))
  colours = channels.colours(count)
  found = channels.visible(given.astype(np.float32))
  for pixel, shown in zip(given, found, strict=True):
    for part in range(3):
      dark = np.prod([1 - x * c[part] for x, c in zip(pixel, colours)])  # noqa: B905
      assert shown[part] == pytest.approx(1 - dark, abs=1e-5)


def test_more_light_in_a_channel_darkens_nothing_and_bytes_are_as_floats():
  given = np.random.default_rng(0).integers(0, 200, (50, 5), np.uint8)
  shown = channels.visible(given)
  for channel in range(5):
    brighter = given + np.uint8(50) * (np.arange(5) == channel).astype("u1")
    assert (channels.visible(brighter) >= shown).all()
  floats = channels.visible(given / np.float32(255))
  np.testing.assert_allclose(floats, shown / 255, atol=0.51 / 255)


def test_floats_outside_0_to_1_are_clipped_before_they_are_laid_over():
  outside = np.array([[-0.5, 2.0, -3.0, 0.5, 9.0]], np.float32)
  np.testing.assert_array_equal(
    channels.visible(outside), channels.visible(np.clip(outside, 0, 1))
  )


@pytest.fixture(scope="module")
def stains(tmp_path_factory):
  """A run on images of five channels, and its data."""
  draw = np.random.default_rng(0)
  kind = draw.choice(["a", "b"], 60)
  pictures = draw.integers(0, 100, (60, 8, 12, 5), np.uint8)
  pictures[kind == "b", ..., 3] += 150
  dataset = data.from_arrays(pictures, {"kind": kind})
  settings = configs.load("images:smoke", {"batch_size": 10})
  folder = tmp_path_factory.mktemp("stains") / "run"
  train.train_and_evaluate(settings, folder, dataset=dataset)
  return folder, dataset


def test_a_run_on_five_channels_goes_from_arrays_to_pictures(stains, tmp_path):
  folder, dataset = stains
  run = runs.load(folder)
  drawn = run.sample({"kind": ["a", "b"]})
  assert drawn.shape == (2, 8, 12, 5)
  held_out = dataset.test
  q = run.encode(held_out["image"], held_out["condition"])
  back = run.decode(q.mean, held_out["condition"])
  assert back.shape == held_out["image"].shape
  images.save_grid(tmp_path / "grid.png", drawn[None], scale=1)
  sheet = np.asarray(Image.open(tmp_path / "grid.png"))
  assert sheet.shape == (8, 26, 3)
  np.testing.assert_array_equal(
    sheet[:, :12], channels.visible(images.to_bytes(drawn[0]))
  )
  assert b"PNG" in markup.png(drawn[0])[:8]
  with Image.open(next((folder / "samples").iterdir())) as written:
    assert written.mode == "RGB"


def test_a_picture_file_is_refused_by_a_run_on_five_channels(stains):
  run = runs.load(stains[0])
  with pytest.raises(PhotoError, match=r"5 channels.*run\.encode\(images\)"):
    own_picture.fit(run, Image.new("RGB", (20, 20)))


@pytest.mark.parametrize(
  ("shape", "said"),
  [
    ((8, 3, 64, 64), r"height of 3 and 64 .*images\.transpose\(0, 2, 3, 1\)"),
    ((8, 5, 6, 6), r"height of 5 and 6 channels"),
  ],
)
def test_channels_that_come_first_are_refused(shape, said):
  with pytest.raises(data.DataError, match=said):
    data.from_arrays(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("count", [2, 4])
def test_a_channel_of_opacity_is_refused_and_a_stain_is_not(count):
  pictures = np.zeros((8, 6, 6, count), np.uint8)
  pictures[:, :3, :, -1] = 255
  found = data.from_arrays(pictures)
  assert found.train["image"].shape[1:] == (6, 6, count)
  pictures[..., -1] = 255
  with pytest.raises(
    data.DataError, match=rf"give images\[\.\.\., :{count - 1}"
  ):
    data.from_arrays(pictures)


def test_records_whose_channels_come_first_are_refused(tmp_path):
  records = [{"image": np.zeros((3, 9, 9), np.uint8)} for _ in range(4)]
  with pytest.raises(data.DataError, match=r"image\.transpose\(1, 2, 0\)"):
    data.from_records(records, tmp_path)
