"""Image files: the resize is the formula, any photo fits, damage is noticed."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax.apps.photo.reading import load_rgb
from cvae_jax.data import DataError
from cvae_jax.data.files import decoding, image_files, prepared
from cvae_jax.data.files.image_files import Fit, read_photo, resize_bilinear

S = 16


def write(folder, n=12):
  """Prepare n faces of S pixels; image i is all i."""
  table = pd.DataFrame({"file": [f"{i}.png" for i in range(n)]})
  table["eyes"] = np.arange(n) / 10
  images = (np.full((S, S, 3), i, np.uint8) for i in range(n))
  return prepared.write(folder, images, table, {"size": S})


def resize_by_loops(image, size):
  """OpenCV's INTER_LINEAR, one number at a time."""
  height, width, channels = image.shape
  out = np.zeros((size, size, channels))
  for y in range(size):
    for x in range(size):
      v = min(max((y + 0.5) * height / size - 0.5, 0), height - 1)
      u = min(max((x + 0.5) * width / size - 0.5, 0), width - 1)
      i = int(v)
      j = int(u)
      b = v - i
      a = u - j
      k = min(i + 1, height - 1)
      m = min(j + 1, width - 1)
      top = (1 - a) * image[i, j] + a * image[i, m]
      bottom = (1 - a) * image[k, j] + a * image[k, m]
      out[y, x] = (1 - b) * top + b * bottom
  return out


@pytest.mark.parametrize(
  "shape", [(40, 40), (33, 21), (7, 9), (1, 5), (12, 12)]
)
def test_bilinear_is_the_formula(shape):
  image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype="u1")
  found = resize_bilinear(image, 12)
  assert found.dtype == np.uint8
  expected = resize_by_loops(image.astype(float), 12)
  # Half a level of rounding, and float32 where a tie is near.
  np.testing.assert_allclose(found, expected, atol=0.501)


def test_antialias_is_another_resize_of_the_same_part():
  image = np.random.default_rng(0).integers(0, 256, (44, 44, 3), dtype="u1")
  sharp, smooth = (Fit(10, 2, resize=r)(image) for r in image_files.RESIZES)
  np.testing.assert_array_equal(sharp, resize_bilinear(image[2:42, 2:42], 10))
  assert smooth.std() < 0.7 * sharp.std()  # it averages 4 x 4 pixels
  box = Fit(10, square=(2, 42, 2, 42))
  np.testing.assert_array_equal(box(image), sharp)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"size": 0}, "size is at least 1"),
    ({"size": 10**6}, "size of 1000000 pixels; expected 1 to 8192 a side"),
    ({"size": 8, "width": 10**30}, "give a smaller --size"),
    ({"size": 8, "crop": 1, "square": (0, 8, 0, 8)}, "not two"),
    ({"size": 8, "square": (8, 0, 0, 8)}, "TOP < BOTTOM"),
    ({"size": 8, "resize": "cubic"}, "resize is one of"),
  ],
)
def test_fit_refuses(arguments, message):
  with pytest.raises(DataError, match=message):
    Fit(**arguments)


def test_decode_refuses_what_is_not_whole_without_addresses():
  whole = io.BytesIO()
  Image.new("L", (4, 2), 77).save(whole, "PNG")
  assert (image_files.decode(whole.getvalue()) == 77).all()
  for bad in (b"", b"no image", whole.getvalue()[:-30]):
    with pytest.raises(DataError, match="not a whole image") as caught:
      image_files.decode(bad)
    assert "0x" not in str(caught.value)


def gradient(height, width):
  """Make [H, W, 3] whose red tells the column and green the row."""
  red, green = np.meshgrid(np.arange(width), np.arange(height))
  return np.stack([red, green, 0 * red], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
  ("shape", "box"),
  [((9, 5), (2, 7, 0, 5)), ((5, 8), (0, 5, 1, 6)), ((4, 4), (0, 4, 0, 4))],
)
def test_the_middle_is_the_largest_square_there(shape, box):
  assert image_files.middle(*shape) == box


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


def test_what_disagrees_is_said(tmp_path):
  out = tmp_path / "out"
  write(out)
  with pytest.raises(DataError, match=r"\(16, 16, 3\), expected \(32, 32, 3\)"):
    prepared.read(out, 32)
  table = (out / prepared.ATTRIBUTES).read_text()
  (out / prepared.ATTRIBUTES).write_text(table.replace("0.1", "0.2"))
  with pytest.raises(DataError, match="SHA-256 differs"):
    prepared.read(out)
  (out / prepared.ATTRIBUTES).write_text(table + "x.png,1\n")
  with pytest.raises(DataError, match=r"12 rows, attributes.csv 13"):
    prepared.read(out)
  images = out / prepared.IMAGES
  os.truncate(images, images.stat().st_size - 100)
  with pytest.raises(DataError, match="damaged"):
    prepared.read(out)


def test_nothing_unfinished_is_read_and_the_old_set_outlives_a_failure(
  tmp_path,
):
  info = write(tmp_path)
  table = pd.DataFrame({"file": ["a", "b"]})

  def broken():
    yield np.zeros((S, S, 3), np.uint8)
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    prepared.write(tmp_path, broken(), table, {"size": S})
  assert prepared.read(tmp_path).info == info
  names = (prepared.IMAGES, prepared.ATTRIBUTES, prepared.MARK)
  assert {f.name for f in tmp_path.iterdir()} == {*names}
  (tmp_path / prepared.MARK).unlink()  # what a kill leaves: the mark is last
  with pytest.raises(DataError, match=r"nothing prepared in .* make: python x"):
    prepared.read(tmp_path, how="python x")


def test_rows_left_out_leave_no_gap(tmp_path):
  table = pd.DataFrame(
    {"file": list("abc"), "eyes": [0.1, 0.2, 0.3]}, [7, 7, 7]
  )
  one, two = (np.full((S, S, 3), i, np.uint8) for i in (1, 2))
  prepared.write(tmp_path, [one, "bad", two], table, {"size": S})
  images, kept, info = prepared.read(tmp_path)
  assert images[:, 0, 0, 0].tolist() == [1, 2]
  assert kept["file"].tolist() == ["a", "c"]
  assert info["skipped"] == {"b": "bad"}
  wrong = np.zeros((8, S, 3), np.uint8)
  with pytest.raises(DataError, match=r"b: uint8 \(8, 16, 3\); expected"):
    prepared.write(tmp_path, [one, wrong], table[:2], {"size": S})


@pytest.mark.parametrize(
  "wide",
  [
    lambda grey: grey.astype(np.float32) / 255,
    lambda grey: grey.astype(np.float32),
    lambda grey: grey.astype(np.int32),
    lambda grey: grey.astype(np.uint16) * 16,
    lambda grey: grey.astype(np.uint16) * 257,
  ],
  ids=["float 0..1", "float 0..255", "int32", "12 in 16 bits", "16 bits"],
)
def test_the_white_level_of_wide_greys_is_found(wide):
  grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
  file = io.BytesIO()
  Image.fromarray(wide(grey)).save(file, format="TIFF")
  found = image_files.decode(file.getvalue())
  # 12 bits in 16 end at 4080 of 4095 here.
  np.testing.assert_allclose(found[..., 0], grey, atol=1)


@pytest.mark.parametrize(
  ("peak", "white"),
  [
    (0.4, 1),
    (1.0, 1),
    (1.03, 1),
    (100.5, 255),
    (255.2, 255),
    (9e4 / 1.5, 65535),
  ],
)
def test_a_peak_beside_white_does_not_darken_floats(peak, white):
  pixels = np.full((4, 4), 0.25 * white)
  pixels[0, 0] = peak
  found = np.asarray(decoding.convert(pixels))[..., 0]
  assert found[1, 1] == pytest.approx(64, abs=1)
  assert found[0, 0] == pytest.approx(min(255, 255 * peak / white), abs=1)


def test_floats_of_no_known_range_are_refused():
  with pytest.raises(DataError, match=r"largest pixel is 1\.5"):
    decoding.convert(np.array([[0.25, 1.5]]))


def test_huge_and_heic_files_are_told_from_broken_ones(monkeypatch):
  file = io.BytesIO()
  Image.new("L", (64, 64)).save(file, format="PNG")
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  with pytest.raises(DataError, match=r"too large: .* megapixels"):
    image_files.decode(file.getvalue())
  with pytest.raises(DataError, match="needs converting: save it as JPEG"):
    image_files.decode(b"\0\0\0\x18ftypheic" + bytes(16))


def encoded(picture, ending, **options):
  file = io.BytesIO()
  picture.save(file, ending, **options)
  return file.getvalue()


def grey_ramp(step=1):
  return np.arange(256, dtype=np.uint16).reshape(16, 16) * step


@pytest.mark.parametrize(
  ("step", "white"),
  [(1, 255), (2, 4095), (16, 4095), (17, 65535), (40, 65535), (257, 65535)],
)
def test_a_picture_of_16_bits_is_never_made_brighter(step, white):
  wide = grey_ramp(step)
  for ending in ("PNG", "TIFF"):
    file = encoded(Image.fromarray(wide), ending)
    found = image_files.decode(file)[..., 0]
    np.testing.assert_allclose(found, wide * (255 / white), atol=1)
    np.testing.assert_array_equal(load_rgb(wide)[..., 0], found)


@pytest.mark.parametrize("peak", [2, 16, 100, 254])
def test_samples_of_8_bits_keep_their_values(peak):
  grey = (np.arange(256) * peak // 255).astype(np.uint8).reshape(16, 16)
  file = encoded(Image.fromarray(grey), "PNG")
  np.testing.assert_array_equal(image_files.decode(file)[..., 0], grey)
  np.testing.assert_array_equal(load_rgb(grey)[..., 0], grey)


def test_lab_is_read_as_the_colours_it_means():
  lab = Image.new("LAB", (16, 16), (255, 128, 128))  # L = 100, no colour
  assert load_rgb(lab).min() >= 254
  found = image_files.decode(encoded(lab, "TIFF"))
  assert found.shape == (16, 16, 3)
  assert found.min() >= 254


@pytest.mark.parametrize("clear", [7, 7 * 256], ids=["8 bits", "16 bits"])
def test_a_clear_grey_lies_on_white(clear):
  dtype = np.uint8 if clear < 256 else np.uint16
  grey = np.full((16, 16), clear * 9, dtype)
  grey[:8] = clear
  file = encoded(Image.fromarray(grey), "PNG", transparency=clear)
  found = image_files.decode(file)
  assert (found[:8] == 255).all()
  assert (found[8:] == 63).all()


def test_cmyk_and_palettes_are_read_alike_from_files_and_in_memory(tmp_path):
  picture = Image.fromarray(gradient(16, 16) * 15)
  for mode, ending in (("CMYK", "TIFF"), ("P", "PNG"), ("YCbCr", "JPEG")):
    given = picture.convert(mode)
    file = encoded(given, ending)
    with Image.open(io.BytesIO(file)) as opened:
      assert opened.mode in (mode, "RGB")
      expected = np.asarray(opened.convert("RGB"))
    (tmp_path / "a").write_bytes(file)
    np.testing.assert_array_equal(image_files.decode(file), expected)
    np.testing.assert_array_equal(load_rgb(tmp_path / "a"), expected)


def test_both_readers_name_the_file_and_what_is_wrong(tmp_path, monkeypatch):
  path = tmp_path / "large.png"
  Image.new("L", (64, 64)).save(path)
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  for read in (load_rgb, lambda path: read_photo(path, Fit(8))):
    with pytest.raises(ValueError, match=r"large\.png: too large"):
      read(path)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(16))
    with pytest.raises(ValueError, match=r"a\.heic: .*HEIC"):
      read(tmp_path / "a.heic")
