"""What is white in images of more than 8 bits: --white of a preparation."""

import json
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax.apps import own_picture
from tests.prepare_images_test import prepare

RANDOM = np.random.default_rng(0)
WHITE = 4095


@pytest.fixture
def wide():
  """Twelve images of 12 bits; the first six have dark pixels alone."""
  pixels = RANDOM.integers(0, WHITE + 1, (12, 8, 8)).astype(np.uint16)
  pixels[:6] //= 20
  return pixels


@pytest.fixture
def folder(wide, tmp_path):
  """The images as files of 16 bits."""
  files = tmp_path / "in"
  files.mkdir()
  for i, image in enumerate(wide):
    Image.fromarray(image).save(files / f"{i:02}.tif")
  return files


def in_order(out):
  """Return the images [N, H, W] of a set, in the order of their names."""
  rows = pd.read_csv(out / "attributes.csv")["file"].argsort()
  return np.load(out / "images.npy")[rows][..., 0]


def expected(pixels, white=WHITE):
  return np.rint(255 * np.minimum(pixels / white, 1))


def test_one_level_keeps_dark_files_dark(wide, folder, tmp_path, capsys):
  out = tmp_path / "out"
  assert prepare(folder, tmp_path / "own") == 0
  assert "as in --white=4095" in capsys.readouterr().out
  assert prepare(folder, out, "--white=4095") == 0
  assert "white level" not in capsys.readouterr().out
  np.testing.assert_array_equal(in_order(out), expected(wide))
  assert json.loads((out / "prepared.json").read_text())["white"] == WHITE


def test_what_is_above_is_white(wide, folder, tmp_path):
  assert prepare(folder, tmp_path / "out", "--white=1000") == 0
  found = in_order(tmp_path / "out")
  np.testing.assert_array_equal(found, expected(wide, 1000))
  assert (found == 255).any()


def test_an_array_has_the_level_that_is_given(wide, tmp_path):
  np.save(tmp_path / "a.npy", wide)
  assert prepare(tmp_path / "a.npy", tmp_path / "out", "--white=1000") == 0
  np.testing.assert_array_equal(
    in_order(tmp_path / "out"), expected(wide, 1000)
  )


def test_a_nearly_black_image_of_an_array_is_no_mask(tmp_path):
  pixels = RANDOM.integers(0, 256, (12, 8, 8)).astype(np.uint8)
  pixels[3] = RANDOM.integers(0, 2, (8, 8))
  np.save(tmp_path / "a.npy", pixels)
  assert prepare(tmp_path / "a.npy", tmp_path / "out") == 0
  np.testing.assert_array_equal(in_order(tmp_path / "out"), pixels)


def test_files_of_8_bits_keep_their_own(tmp_path):
  pixels = RANDOM.integers(0, 256, (12, 8, 8)).astype(np.uint8)
  (tmp_path / "in").mkdir()
  for i, image in enumerate(pixels):
    Image.fromarray(image).save(tmp_path / "in" / f"{i:02}.png")
  assert prepare(tmp_path / "in", tmp_path / "out", "--white=4095") == 0
  np.testing.assert_array_equal(in_order(tmp_path / "out"), pixels)


def test_an_array_of_bytes_keeps_its_own(tmp_path):
  pixels = RANDOM.integers(0, 256, (12, 8, 8)).astype(np.uint8)
  np.save(tmp_path / "a.npy", pixels)
  assert prepare(tmp_path / "a.npy", tmp_path / "out", "--white=4095") == 0
  np.testing.assert_array_equal(in_order(tmp_path / "out"), pixels)


def write_wide_colours(path, pixels):
  """Writes a PNG of 16 bits in colour, which Pillow cannot write."""
  lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
  height, width, _ = pixels.shape
  parts = {
    b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
    b"IDAT": zlib.compress(lines),
    b"IEND": b"",
  }
  chunks = [
    struct.pack(">I", len(part))
    + name
    + part
    + struct.pack(">I", zlib.crc32(name + part))
    for name, part in parts.items()
  ]
  path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_a_level_that_pillow_cannot_apply_is_refused(tmp_path, capsys):
  (tmp_path / "in").mkdir()
  for i in range(12):
    pixels = RANDOM.integers(0, WHITE + 1, (8, 8, 3))
    write_wide_colours(tmp_path / "in" / f"{i:02}.png", pixels)
  assert prepare(tmp_path / "in", tmp_path / "out", "--white=4095") == 1
  said = capsys.readouterr().err
  assert "of colours of 16 bits the upper byte is read, so white is 65535" in (
    said
  )
  assert prepare(tmp_path / "in", tmp_path / "out", "--white=65535") == 0
  assert np.load(tmp_path / "out" / "images.npy").max() == WHITE >> 8


@pytest.mark.parametrize("bad", ["-1", "nan", "inf"])
def test_a_level_that_is_none_is_refused(bad, folder, tmp_path, capsys):
  assert prepare(folder, tmp_path / "out", f"--white={bad}") == 1
  assert "expected a number above 0, as in --white" in capsys.readouterr().err


def test_another_level_is_another_set(folder, tmp_path, capsys):
  assert prepare(folder, tmp_path / "out", "--white=4095") == 0
  assert prepare(folder, tmp_path / "out", "--white=4095") == 0
  assert prepare(folder, tmp_path / "out") == 1
  assert "white 4095.0 → 0" in capsys.readouterr().err


def test_a_picture_of_one_s_own_is_as_bright_as_the_training_images(
  wide, folder, tmp_path
):
  out = tmp_path / "out"
  assert prepare(folder, out, "--white=4095") == 0
  stated = {"name": "images", "path": str(out)}
  run = SimpleNamespace(
    config=SimpleNamespace(data=SimpleNamespace(**stated)),
    system=SimpleNamespace(columns={"image": (8, 8, 1)}),
  )
  found = own_picture.read(run, folder / "02.tif")
  np.testing.assert_array_equal(found[..., 0], expected(wide[2]))


def test_a_run_on_drawn_faces_follows_no_set_that_lies_there(folder, tmp_path):
  assert prepare(folder, tmp_path / "out", "--white=4095") == 0
  stated = {"name": "faces", "path": str(tmp_path / "out")}
  whites = {}
  for source in ("prepared", "synthetic"):
    config = SimpleNamespace(data=SimpleNamespace(**stated, source=source))
    whites[source] = own_picture.find_white(SimpleNamespace(config=config))
  assert whites == {"prepared": WHITE, "synthetic": 0.0}
