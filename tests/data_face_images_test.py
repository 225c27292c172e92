"""Photos: any size and mode becomes what a network was trained on."""

import numpy as np
import pytest
from PIL import Image

from cvae_jax.data import DataError, face_images
from cvae_jax.data.face_images import Fit, read_photo


def gradient(height, width):
  """Makes [H, W, 3] whose red tells the column and green the row."""
  red, green = np.meshgrid(np.arange(width), np.arange(height))
  return np.stack([red, green, 0 * red], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
  ("shape", "box"),
  [((9, 5), (2, 7, 0, 5)), ((5, 8), (0, 5, 1, 6)), ((4, 4), (0, 4, 0, 4))],
)
def test_the_middle_is_the_largest_square_there(shape, box):
  assert face_images.middle(*shape) == box


def test_a_photo_is_cut_to_its_middle_and_not_distorted(tmp_path):
  image = gradient(16, 30)
  Image.fromarray(image).save(tmp_path / "a.png")
  found = read_photo(tmp_path / "a.png", Fit(16))
  np.testing.assert_array_equal(found, image[:, 7:23])


@pytest.mark.parametrize(
  ("fit", "part"),
  [
    (Fit(8, square=(1, 9, 2, 10)), np.s_[1:9, 2:10]),
    (Fit(8, crop=4), np.s_[4:12, 4:12]),
  ],
)
def test_a_box_or_a_crop_is_what_is_asked_for(tmp_path, fit, part):
  image = gradient(16, 16)
  Image.fromarray(image).save(tmp_path / "a.png")
  found = read_photo(tmp_path / "a.png", fit)
  np.testing.assert_array_equal(found, image[part])


def test_a_large_photo_is_averaged_before_bilinear_would_skip_pixels(tmp_path):
  noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
  Image.fromarray(noise).save(tmp_path / "a.png")
  found = read_photo(tmp_path / "a.png", Fit(10)).astype(float)
  blocks = noise.reshape(20, 8, 20, 8, 3).mean((1, 3))  # twice the size
  expected = blocks.reshape(10, 2, 10, 2, 3).mean((1, 3))
  np.testing.assert_allclose(found, expected, atol=1.5)


@pytest.mark.parametrize(
  ("mode", "colour", "expected"),
  [
    ("L", 77, (77, 77, 77)),
    ("RGB", (1, 2, 3), (1, 2, 3)),
    ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
    ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
    ("LA", (5, 0), (255, 255, 255)),
    ("1", 1, (255, 255, 255)),
    ("I;16", 77 * 256 + 3, (77, 77, 77)),
  ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, expected):
  Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")
  found = read_photo(tmp_path / "a.png", Fit(4))
  assert found.shape == (4, 4, 3)
  assert (found == expected).all()


def test_a_turned_photo_stands_upright(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned clockwise by 90 degrees
  image = np.zeros((16, 16, 3), np.uint8)
  image[:, :8] = 255  # white on the left: on top, once it is turned
  path = tmp_path / "a.jpg"
  Image.fromarray(image).save(path, exif=exif, quality=95)
  found = read_photo(path, Fit(16))
  assert found[:8].min() > 200
  assert found[8:].max() < 50


@pytest.mark.parametrize(
  ("content", "fit", "message"),
  [
    (b"no image", Fit(4), "bad.png: not a whole image"),
    (None, Fit(4), "no photo"),
    (b"small", Fit(4, crop=4), r"6x5 pixels .* too few for a crop of 4"),
    (b"small", Fit(4, square=(0, 9, 0, 9)), "too few for the box"),
  ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, fit, message):
  path = tmp_path / "bad.png"
  if content == b"small":
    Image.new("RGB", (5, 6)).save(path)
  elif content:
    path.write_bytes(content)
  with pytest.raises(DataError, match=message):
    read_photo(path, fit)
