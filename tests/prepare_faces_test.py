"""Preparing faces: any source gives the same set, and errors are explained."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax.data.files import image_files, prepared
from cvae_jax.data.files.image_files import Fit, resize_bilinear
from cvae_jax.host import lock

ROOT = pathlib.Path(__file__).parent.parent


def load_script():
  path = ROOT / "data" / "prepare_faces.py"
  spec = importlib.util.spec_from_file_location("prepare_faces", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


SCRIPT = load_script()


@pytest.fixture
def source(tmp_path):
  """Make a folder of 12 PNGs of 40x40 under images/, and its table."""
  folder = tmp_path / "source"
  (folder / "images").mkdir(parents=True)
  rng = np.random.default_rng(0)
  for i in range(12):
    picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "images" / f"{i}.png")
  order = rng.permutation(12)  # the table's order counts, not the folder's
  table = pd.DataFrame({"file": [f"{i}.png" for i in order]})
  table["male"], table["eyes"] = order % 2, order / 20
  table.to_csv(folder / "table.csv", index=False)
  return folder


def prepare(source, out, *more):
  arguments = {
    "images": source,
    "table": source / "table.csv",
    "out": out,
    "size": 16,
    "order": "file",
  }
  flags = [f"--{k}={v}" for k, v in arguments.items()]
  return SCRIPT.main([*flags, *more])  # the last of equal flags wins


def pixels(source, name):
  return np.asarray(Image.open(source / "images" / name))


def test_prepared_rows_follow_the_table(source, tmp_path, capsys):
  assert prepare(source, tmp_path / "out", "--crop=4") == 0
  images, table, info = prepared.read(tmp_path / "out", 16)
  assert isinstance(images, np.memmap)
  assert images.shape == (12, 16, 16, 3)
  for image, name in zip(images, table["file"], strict=True):
    expected = resize_bilinear(pixels(source, name)[4:36, 4:36], 16)
    np.testing.assert_array_equal(image, expected)
  assert table["female"].tolist() == (1 - table["male"]).tolist()
  kept = (info[k] for k in ("size", "crop", "count", "skipped", "source"))
  assert list(kept) == [16, 4, 12, {}, "source"]
  said = capsys.readouterr().out
  assert "  6 of 12\n" in said
  assert "images/s" in said


def test_zip_and_folder_are_equal_whatever_the_workers(source, tmp_path):
  archive = shutil.make_archive(tmp_path / "faces", "zip", source)
  for out, more in (("a", "--workers=1"), ("b", f"--images={archive}")):
    assert prepare(source, tmp_path / out, more) == 0
  for name in (prepared.IMAGES, prepared.ATTRIBUTES):
    a, b = ((tmp_path / out / name).read_bytes() for out in "ab")
    assert a == b


def test_no_workers_are_refused(source, tmp_path, capsys):
  assert prepare(source, tmp_path / "out", "--workers=0") == 1
  assert "error: --workers=0: expected 1 or more" in capsys.readouterr().err
  assert not (tmp_path / "out").exists()


def times(out):
  """Say when each file was written, but for the lock, which says who works."""
  files = [f for f in out.iterdir() if f.name != lock.FILE]
  return {f.name: f.stat().st_mtime_ns for f in files}


def test_again_leaves_files_untouched(source, tmp_path, capsys):
  out = tmp_path / "out"
  prepare(source, out)
  before = times(out)
  assert prepare(source, out, "--workers=3") == 0
  assert "already prepared" in capsys.readouterr().out
  assert prepare(source, out, "--size=8") == 1
  assert "size 16 → 8" in capsys.readouterr().err
  (source / "images" / "3.png").write_bytes(b"")  # other images
  assert prepare(source, out) == 1
  assert "image_bytes" in capsys.readouterr().err
  assert prepare(source, out, "--on_corrupt=fail", "--force") == 1
  assert times(out) == before
  assert prepare(source, out, "--size=8", "--force") == 0
  assert prepared.read(out).images.shape == (11, 8, 8, 3)


def test_corrupt_images_are_named_and_skipped_or_fatal(
  source, tmp_path, capsys
):
  whole = (source / "images" / "5.png").read_bytes()
  (source / "images" / "5.png").write_bytes(whole[: len(whole) // 2])
  Image.new("RGB", (6, 6)).save(source / "images" / "7.png")
  assert prepare(source, tmp_path / "out", "--crop=4") == 0
  said = capsys.readouterr().out
  assert re.search("left out: 5.png: not a whole image", said)
  assert "7.png: 6x6 pixels (height x width) are too few for a crop" in said
  images, table, info = prepared.read(tmp_path / "out")
  assert {*info["skipped"]} == {"5.png", "7.png"}
  assert info["count"] == len(images) == len(table) == 10
  for image, name in zip(images, table["file"], strict=True):
    expected = resize_bilinear(pixels(source, name)[4:36, 4:36], 16)
    np.testing.assert_array_equal(image, expected)
  assert prepare(source, tmp_path / "other", "--on_corrupt=fail") == 1
  assert "5.png: not a whole image" in capsys.readouterr().err
  assert [f.name for f in (tmp_path / "other").iterdir()] == [".lock"]


def test_an_encrypted_image_of_a_zip_is_named(source, tmp_path, capsys):
  archive = pathlib.Path(shutil.make_archive(tmp_path / "faces", "zip", source))
  content = bytearray(archive.read_bytes())
  # Its entry in the directory at the end: the flags are 38 bytes before.
  at = content.rindex(b"images/5.png") - 38
  content[at] |= 1  # encrypted
  archive.write_bytes(content)
  assert prepare(source, tmp_path / "out", f"--images={archive}") == 0
  said = capsys.readouterr().out
  assert re.search("left out: 5.png: .*is encrypted, password required", said)
  assert prepared.read(tmp_path / "out").info["count"] == 11


def test_missing_images_are_named(source, tmp_path, capsys):
  (source / "images" / "2.png").unlink()
  assert prepare(source, tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert re.search(r"1 of 12 images of .*table.csv are missing: 2.png", said)
  assert prepare(source, tmp_path / "out", "--on_missing=skip") == 0
  table = prepared.read(tmp_path / "out").table
  assert len(table) == 11
  assert "2.png" not in table["file"].tolist()
  shutil.rmtree(source / "images")
  assert prepare(source, tmp_path / "none", "--on_missing=skip") == 1


def test_not_square_is_said(source, tmp_path, capsys):
  Image.new("RGB", (40, 50)).save(source / "images" / "4.png")
  prepare(source, tmp_path / "out")
  assert re.search(r"not square.*: 4.png\n", capsys.readouterr().out)
  prepare(source, tmp_path / "boxed", "--square=0,40,0,40")
  assert "not square" not in capsys.readouterr().out


def test_bad_arguments_are_explained(source, tmp_path, capsys):
  out = tmp_path / "out"
  for more, said in (
    ("--images=nowhere", "--images=nowhere: no such file or folder"),
    ("--table=nowhere", "no table nowhere; give a file, celeba:FILE or utk"),
    ("--table=utkface", "none of 12 images is named as UTKFace's are"),
    ("--columns=male,hat", "no column 'hat'; it has file, male, female, eyes"),
    ("--crop=20", "no image is left of 12; the first: 11.png: 40x40 pixels"),
  ):
    assert prepare(source, out, more) == 1
    assert said in capsys.readouterr().err
  with pytest.raises(SystemExit):
    prepare(source, out, "--square=1,2,3")


def test_half_written_is_not_there(source, tmp_path):
  out = tmp_path / "out"
  prepare(source, out)
  (out / prepared.MARK).unlink()  # what a kill leaves: the mark is last
  assert prepare(source, out) == 0
  assert len(prepared.read(out).images) == 12


def test_utkface_folder(source, tmp_path, capsys):
  for i in range(6):
    name = f"{20 + i}_{i % 2}_0_2017.png"
    (source / "images" / f"{i}.png").rename(source / "images" / name)
  more = ("--table=utkface", "--order=hash")
  assert prepare(source, tmp_path / "out", *more) == 0
  assert "6 rows left out: 10.png, 11.png" in capsys.readouterr().out
  table = prepared.read(tmp_path / "out").table
  assert sorted(table["age"]) == [20, 21, 22, 23, 24, 25]
  assert table["age"].tolist() != sorted(table["age"])  # nor is the last old


def test_real_faces_prepare(tmp_path):
  folder = pathlib.Path(os.environ.get("CVAE_JAX_DATA", "")) / "faces"
  if not (folder / "faces.zip").is_file():
    pytest.skip("needs faces/faces.zip in $CVAE_JAX_DATA")
  with zipfile.ZipFile(folder / "faces.zip") as archive:
    first = archive.read(archive.namelist()[0])
  table = pd.read_csv(folder / "attributes.csv")[:64]
  table.to_csv(tmp_path / "table.csv", index=False)
  flags = [f"--images={folder / 'faces.zip'}", "--size=120"]
  flags += [f"--table={tmp_path / 'table.csv'}", f"--out={tmp_path / 'out'}"]
  flags.append("--order=file")
  assert SCRIPT.main(flags) == 0
  images, kept, info = prepared.read(tmp_path / "out", 120)
  assert images.shape == (64, 120, 120, 3)
  assert kept["file"].tolist() == table["file"].tolist()
  assert json.loads((tmp_path / "out" / "prepared.json").read_text()) == info
  np.testing.assert_array_equal(images[0], Fit(120)(image_files.decode(first)))
