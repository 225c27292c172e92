"""Images: rounding, the layout of grids, and files that are whole or old."""

import errno
import os

import numpy as np
import pytest
from PIL import Image
from skimage.transform import downscale_local_mean

from cvae_jax.host import files, images

GREY = 96  # between pictures


@pytest.mark.parametrize(
  ("value", "byte"),
  [
    (0.0, 0),
    (1.0, 255),
    (-0.5, 0),
    (1.5, 255),
    (np.inf, 255),
    (-np.inf, 0),
    (0.49 / 255, 0),
    (0.51 / 255, 1),
    (254.4 / 255, 254),
    (254.6 / 255, 255),
  ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_clipped_and_rounded_to_the_nearest_byte(value, byte, dtype):
  got = images.to_bytes(np.full((2, 2, 1), value, dtype))
  assert got.dtype == np.uint8
  np.testing.assert_array_equal(got, byte)


def test_bytes_survive_the_way_through_floats():
  bytes_ = np.arange(256, dtype=np.uint8)
  np.testing.assert_array_equal(
    images.to_bytes(bytes_.astype(np.float32) / 255), bytes_
  )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gap", [0, 2, 3])
@pytest.mark.parametrize("scale", [1, 2])
def test_grid_puts_picture_r_c_in_row_r_and_column_c(channels, gap, scale):
  rng = np.random.default_rng(0)
  shape = rows, columns, height, width, _ = (2, 3, 4, 5, channels)
  pictures = rng.integers(0, 256, shape).astype(np.uint8)
  sheet = images.grid(pictures, gap, scale)
  full = rows * height + (rows - 1) * gap, columns * width + (columns - 1) * gap
  assert sheet.shape == (full[0] * scale, full[1] * scale, channels)
  for y, x in np.ndindex(*sheet.shape[:2]):  # pixel by pixel
    r, dy = divmod(y // scale, height + gap)
    c, dx = divmod(x // scale, width + gap)
    inside = dy < height and dx < width
    expected = pictures[r, c, dy, dx] if inside else [GREY] * channels
    assert sheet[y, x].tolist() == list(expected)


def test_grid_of_floats_is_the_grid_of_their_bytes():
  pictures = np.random.default_rng(1).uniform(-0.2, 1.2, (1, 2, 3, 3, 1))
  np.testing.assert_array_equal(
    images.grid(pictures), images.grid(images.to_bytes(pictures))
  )


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_png_files_hold_the_pixels(tmp_path, channels, mode):
  rng = np.random.default_rng(2)
  picture = rng.integers(0, 256, (6, 7, channels)).astype(np.uint8)
  path = tmp_path / "new" / "folder" / "a.png"
  images.save_picture(path, picture)
  with Image.open(path) as image:
    assert image.mode == mode
    np.testing.assert_array_equal(
      np.asarray(image).reshape(picture.shape), picture
    )


def test_save_grid_enlarges_for_people(tmp_path):
  images.save_grid(tmp_path / "a.png", np.ones((2, 3, 28, 28, 1)))
  with Image.open(tmp_path / "a.png") as image:
    assert image.size == (3 * (3 * 28 + 2 * 2), 3 * (2 * 28 + 2))


@pytest.mark.parametrize(("size", "scale"), [(28, 3), (64, 1), (120, 1)])
def test_pictures_that_are_large_enough_are_not_enlarged(tmp_path, size, scale):
  images.save_grid(tmp_path / "a.png", np.ones((1, 1, size, size, 3)))
  with Image.open(tmp_path / "a.png") as image:
    assert image.size == (scale * size, scale * size)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
  ("rows", "columns"),
  [(("one\ntwo", "b"), ()), ((), ("x", "y", "z")), ("ab", "xyz")],
)
def test_captions_stand_beside_the_pictures_and_leave_them_as_they_are(
  tmp_path, channels, rows, columns
):
  pictures = np.full((2, 3, 40, 40, channels), 0.5)
  sheet = images.grid(pictures, scale=2)
  images.save_grid(tmp_path / "a.png", pictures, 2, rows, columns)
  with Image.open(tmp_path / "a.png") as image:
    page = np.asarray(image).reshape(image.height, image.width, channels)
  top, left = (np.subtract(page.shape, sheet.shape))[:2]
  np.testing.assert_array_equal(page[top:, left:], sheet)
  assert (top > 0, left > 0) == (bool(columns), bool(rows))
  for i in range(len(columns)):  # each column has ink above it, on white
    above = page[:top, left + 84 * i : left + 84 * i + 80]
    assert above.min() < 100
    assert above.max() == 255
  for i in range(len(rows)):
    assert page[top + 84 * i : top + 84 * i + 80, :left].min() < 100


def test_long_captions_of_columns_are_written_smaller(tmp_path):
  pictures = np.zeros((1, 2, 80, 80, 1))
  heights = []
  for text in ("ab", "hair_color 0.25"):
    images.save_grid(tmp_path / "a.png", pictures, 1, (), (text, "b"))
    with Image.open(tmp_path / "a.png") as image:
      heights.append(image.height)
      assert image.width == 162
  assert heights[1] < heights[0]


@pytest.mark.parametrize("content", ["text ½\n", b"\x00bytes"])
def test_a_write_replaces_the_file_and_leaves_nothing_beside_it(
  tmp_path, content
):
  path = tmp_path / "a"
  path.write_bytes(b"old")
  files.write_atomically(path, content)
  expected = content.encode() if isinstance(content, str) else content
  assert path.read_bytes() == expected
  assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, call):
  path = tmp_path / "a"
  path.write_bytes(b"old")

  def fail(*_):
    raise OSError("disk full")

  monkeypatch.setattr(call, fail)
  with pytest.raises(OSError, match="disk full"):
    files.write_atomically(path, b"new and much longer")
  assert path.read_bytes() == b"old"


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_is_said_with_the_file_s_own_name(
  tmp_path, monkeypatch, call
):
  def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(call, fail)
  with pytest.raises(OSError, match="No space left") as error:
    files.write_atomically(tmp_path / "a", b"new")
  assert error.value.filename == str(tmp_path / "a")
  assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
  path = tmp_path / "a.png"
  images.save_picture(path, np.zeros((2, 2, 3), np.uint8))
  before = path.read_bytes()
  with pytest.raises(TypeError):
    images.save_picture(path, np.zeros((2, 2, 2, 3), np.uint8))
  assert path.read_bytes() == before


def test_averaged_pixels_are_the_means_of_blocks():
  rng = np.random.default_rng(0)
  pictures = rng.integers(0, 256, (2, 12, 12, 3), np.uint8)
  found = images.average_pool(pictures, 4)
  expected = downscale_local_mean(pictures / 255.0, (1, 3, 3, 1))
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  unit = (pictures / 255.0).astype(np.float32)
  np.testing.assert_allclose(images.average_pool(unit, 4), expected, rtol=1e-5)
  np.testing.assert_array_equal(images.average_pool(pictures, 16), unit)
  with pytest.raises(ValueError, match="5 pixels a side do not divide 12 × 12"):
    images.average_pool(pictures, 5)


@pytest.mark.parametrize(
  ("shape", "side", "blocks"),
  [
    ((64, 48), 32, (2, 2)),  # the same factor
    ((48, 64), 24, (2, 2)),
    ((64, 96), 32, (2, 3)),  # both have 32 pixels
    ((24, 64), 32, (1, 1)),
    ((64, 45), 32, None),
    ((48, 64), 32, None),
  ],
)
def test_pictures_that_are_not_square_shrink_by_whole_blocks(
  shape, side, blocks
):
  pictures = np.random.default_rng(0).random((2, *shape, 1), np.float32)
  if blocks is None:
    assert images.pooled_shape(*shape, side) is None
    with pytest.raises(ValueError, match=f"{side} pixels a side do not"):
      images.average_pool(pictures, side)
    return
  expected = downscale_local_mean(pictures, (1, *blocks, 1))
  found = images.average_pool(pictures, side)
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  assert images.pooled_shape(*shape, side) == found.shape[1:3]


@pytest.mark.parametrize(
  ("ending", "form"),
  [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG"), ("webp", "WEBP")],
)
def test_the_format_follows_the_ending(tmp_path, ending, form):
  images.save_picture(tmp_path / f"a.{ending}", np.zeros((4, 4, 3), np.uint8))
  with Image.open(tmp_path / f"a.{ending}") as image:
    assert image.format == form


def test_an_output_is_no_input_under_any_name_no_folder_and_no_odd_ending(
  tmp_path, monkeypatch
):
  mine = tmp_path / "me.png"
  images.save_picture(mine, np.zeros((4, 4, 3), np.uint8))
  (tmp_path / "link.png").symlink_to(mine)
  (tmp_path / "hard.png").hardlink_to(mine)
  monkeypatch.chdir(tmp_path)
  for name in (mine, "me.png", "./me.png", "link.png", "hard.png"):
    with pytest.raises(ValueError, match="is the input"):
      images.check_output(name, mine)
  with pytest.raises(ValueError, match="is a folder"):
    images.check_output(tmp_path, mine)
  with pytest.raises(ValueError, match=r"found the ending '\.tiff'"):
    images.check_output("a.tiff", mine)
  images.check_output("other.png", mine)
