"""A set is not taken for that of images that have changed since."""

import json
import os
import zipfile

import numpy as np
import pytest

from tests.prepare_arrays_test import write_idx
from tests.prepare_images_test import prepare, read


def save_folder(folder, images):
  for i, pixels in enumerate(images):
    path = folder / "in" / f"{i:02}.ppm"  # whose size its pixels do not change
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"P6 8 8 255\n" + np.repeat(pixels, 3).tobytes())
  return folder / "in"


def save_zip(folder, images):
  source = save_folder(folder, images)
  with zipfile.ZipFile(folder / "in.zip", "w") as archive:
    for path in sorted(source.iterdir()):
      archive.write(path, path.name)
  return folder / "in.zip"


def save_npy(folder, images):
  np.save(folder / "in.npy", images)
  return folder / "in.npy"


def save_npz(folder, images):
  np.savez(folder / "in.npz", images=images)
  return folder / "in.npz"


def save_idx(folder, images):
  """Return one file of two; the images are in the other, too."""
  for split, part in (("train", images[:10]), ("test", images[10:])):
    write_idx(folder / "idx" / f"{split}-images-idx3-ubyte", part)
  return folder / "idx" / "train-images-idx3-ubyte"


SAVE = {
  "folder": save_folder,
  "zip": save_zip,
  "npy": save_npy,
  "npz": save_npz,
  "idx": save_idx,
}


def times(path, seconds):
  """Set the times of a source's files, and of those beside them."""
  for file in (path if path.is_dir() else path.parent).iterdir():
    if file.is_file():
      os.utime(file, (seconds, seconds))


@pytest.fixture
def images():
  return np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)


@pytest.mark.parametrize("form", SAVE)
def test_changed_pixels_of_the_same_size_are_other_images(
  tmp_path, capsys, images, form
):
  path = SAVE[form](tmp_path, images)
  times(path, 1_000_000)
  assert prepare(path, tmp_path / "out") == 0
  before = read(tmp_path / "out")[0].copy()
  images[13, 4, 4] ^= 1
  SAVE[form](tmp_path, images)
  times(path, 1_000_001)
  capsys.readouterr()
  assert prepare(path, tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert "out is prepared from other images: those in" in said
  assert "--force" in said
  assert said.count("\n") == 1
  np.testing.assert_array_equal(read(tmp_path / "out")[0], before)
  assert prepare(path, tmp_path / "out", "--force") == 0
  new = read(tmp_path / "out")[0]
  assert (new[..., 0] != before[..., 0]).sum() == 1
  assert prepare(path, tmp_path / "out") == 0
  assert "already prepared" in capsys.readouterr().out


@pytest.mark.parametrize("form", SAVE)
def test_equal_images_with_other_times_are_the_same_set(
  tmp_path, capsys, images, form
):
  path = SAVE[form](tmp_path, images)
  assert prepare(path, tmp_path / "out") == 0
  mark = (tmp_path / "out" / "prepared.json").read_bytes()
  times(path, 1_000_000)
  capsys.readouterr()
  assert prepare(path, tmp_path / "out") == 0
  said = capsys.readouterr().out
  assert "other times than before: comparing the images" in said
  assert "already prepared" in said
  assert (tmp_path / "out" / "prepared.json").read_bytes() == mark


def test_an_image_that_cannot_be_read_is_compared_too(tmp_path, capsys, images):
  path = save_zip(tmp_path, images)
  content = bytearray(path.read_bytes())
  content[content.index(b"P6 8 8") + 20] ^= 1  # its checksum is wrong now
  path.write_bytes(content)
  assert prepare(path, tmp_path / "out") == 0
  assert "left out: 00.ppm" in capsys.readouterr().out
  times(path, 1_000_000)
  assert prepare(path, tmp_path / "out") == 0
  assert "already prepared" in capsys.readouterr().out
  content[content.index(b"P6 8 8") + 20] ^= 1
  path.write_bytes(content)
  assert prepare(path, tmp_path / "out") == 1


@pytest.mark.parametrize("newer", [False, True])
def test_a_set_of_an_older_version_is_known_and_newer_files_are_said(
  tmp_path, capsys, images, newer
):
  path = save_folder(tmp_path, images)
  assert prepare(path, tmp_path / "out") == 0
  mark = tmp_path / "out" / "prepared.json"
  info = json.loads(mark.read_text())
  del info["made_of"]
  mark.write_text(json.dumps(info))
  made = (tmp_path / "out" / "images.npy").stat().st_mtime
  times(path, made + (10 if newer else -10))
  capsys.readouterr()
  assert prepare(path, tmp_path / "out") == 0
  said = capsys.readouterr().out
  assert "already prepared" in said
  assert ("note: " in said and "prepare it again with --force" in said) == newer
