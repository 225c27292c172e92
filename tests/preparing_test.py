"""Preparing cannot mistake one image for another, nor one set for another."""

import hashlib
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cvae_jax.data import DataError
from cvae_jax.data.files import finding, image_files, prepared
from cvae_jax.host import lock
from tests import prepare_faces_test

S = 8
prepare = prepare_faces_test.prepare


def draw(path, level):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.full((S, S, 3), level, np.uint8)
  Image.fromarray(pixels).save(path)


def table_of(folder, **columns):
  path = folder / "table.csv"
  pd.DataFrame(columns).to_csv(path, index=False)
  return folder


def test_a_name_of_two_files_is_refused_and_both_are_listed(tmp_path, capsys):
  source = tmp_path / "source"
  draw(source / "red" / "001.png", 10)
  draw(source / "blue" / "001.png", 20)
  draw(source / "red" / "002.png", 30)
  table_of(source, file=["001.png", "002.png"], male=[0, 1])
  assert prepare(source, tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert "2 files 001.png: blue/001.png, red/001.png; the table says" in said
  assert "write folder/name" in said
  names = ["red/001.png", "blue/001.png", "002.png"]
  table_of(source, file=names, male=[0, 1, 1])
  assert prepare(source, tmp_path / "out") == 0
  images, table, _ = prepared.read(tmp_path / "out")
  assert images[:, 0, 0, 0].tolist() == [10, 20, 30]
  assert table["file"].tolist() == names


@pytest.mark.parametrize("prefix", ["/home/me/img/", "img/", "img\\"])
def test_paths_of_a_table_may_begin_elsewhere(tmp_path, prefix):
  source = tmp_path / "source"
  for i in range(3):
    draw(source / "img" / f"{i}.png", i)
  names = [f"{prefix}{i}.png" for i in (2, 0, 1)]
  table_of(source, image_path=names, male=[0, 1, 1])
  inside = f"--images={source / 'img'}"
  more = (inside,) if prefix.startswith("/") else ()
  assert prepare(source, tmp_path / "o", "--file_column=image_path", *more) == 0
  images = prepared.read(tmp_path / "o").images
  assert images[:, 0, 0, 0].tolist() == [2, 0, 1]


def test_two_rows_that_would_be_one_image_are_refused(tmp_path, capsys):
  source = tmp_path / "source"
  draw(source / "1.png", 1)
  table_of(source, file=["red/1.png", "blue/1.png"], male=[0, 1])
  assert prepare(source, tmp_path / "out") == 1
  assert "blue/1.png, red/1.png are one image" in capsys.readouterr().err


def test_a_folder_that_is_not_the_table_s_is_no_match(tmp_path, capsys):
  source = tmp_path / "source"
  draw(source / "blue" / "1.png", 1)
  table_of(source, file=["red/1.png"], male=[0])
  assert prepare(source, tmp_path / "out") == 1
  assert "table.csv are missing: red/1.png" in capsys.readouterr().err


def test_a_zip_with_a_name_twice_is_refused(tmp_path):
  path = tmp_path / "a.zip"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("1.png", b"one")
    with pytest.warns(UserWarning, match="Duplicate name"):
      archive.writestr("1.png", b"two")
  with pytest.raises(DataError, match=r"1\.png is in the zip more than once"):
    finding.open_images(path)


def test_a_file_whose_name_is_no_text_is_named(tmp_path):
  (tmp_path / "a.png").touch()
  pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
  with pytest.raises(DataError, match=r"file name '\\udcff.png' is no UTF-8"):
    finding.open_images(tmp_path)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_a_device_is_neither_a_folder_nor_a_zip(place):
  with pytest.raises(DataError, match=f"{place}: neither a folder nor a zip"):
    finding.open_images(pathlib.Path(place))


def test_linked_folders_are_entered_once_and_loops_end(tmp_path, capsys):
  draw(tmp_path / "real" / "1.png", 1)
  folder = tmp_path / "folder"
  draw(folder / "0.png", 0)
  (folder / "part").symlink_to(tmp_path / "real")
  (folder / "loop").symlink_to(folder)
  (folder / "notes.txt").write_text("")
  (folder / "x.heic").write_bytes(b"")
  (folder / "y.heic").write_bytes(b"")
  images = finding.open_images(folder)
  assert {*images.where.values()} == {"0.png", "part/1.png"}
  said = capsys.readouterr().out
  assert "not looked at" in said
  assert "2 .heic, 1 .txt" in said


def test_byte_equal_images_are_named(tmp_path, capsys):
  source = tmp_path / "source"
  for name, level in (("a", 1), ("b", 2), ("c", 1)):
    draw(source / f"{name}.png", level)
  table_of(source, file=["a.png", "b.png", "c.png"], male=[0, 1, 1])
  assert prepare(source, tmp_path / "out") == 0
  said = capsys.readouterr().out
  assert "2 faces equal another in every pixel" in said
  assert "a.png = c.png" in said


def test_want_of_memory_is_no_corrupt_image(tmp_path, capsys, monkeypatch):
  source = tmp_path / "source"
  draw(source / "a.png", 1)
  table_of(source, file=["a.png"], male=[0])

  def decode(content, whites, white):
    raise DataError("not a whole image: ") from MemoryError()

  monkeypatch.setattr(image_files, "decode", decode)
  assert prepare(source, tmp_path / "out") == 1
  assert "out of memory at a.png; nothing" in capsys.readouterr().err
  assert not (tmp_path / "out" / prepared.MARK).exists()


def test_what_a_killed_preparation_left_gives_its_room_back(tmp_path):
  source = tmp_path / "source"
  draw(source / "a.png", 1)
  table_of(source, file=["a.png"], male=[0])
  left = tmp_path / "out" / f".{prepared.IMAGES}.12345.tmp"
  left.parent.mkdir()
  left.write_bytes(bytes(1000))
  assert prepare(source, tmp_path / "out") == 0
  assert not left.exists()


def test_a_disk_without_room_is_said_before_anything_is_decoded(
  tmp_path, capsys, monkeypatch
):
  source = tmp_path / "source"
  draw(source / "a.png", 1)
  table_of(source, file=["a.png"], male=[0])
  free = shutil.disk_usage(tmp_path)._replace(free=100)
  monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
  monkeypatch.setattr(image_files, "decode", None)
  assert prepare(source, tmp_path / "out") == 1
  said = capsys.readouterr().err
  assert "out: needs 768 bytes of disk, and 100 bytes are free; make" in said
  assert not (tmp_path / "out" / prepared.MARK).exists()


def test_the_order_is_the_names_and_no_column_s():
  names = [f"{age:03d}_0_0_2017.jpg" for age in range(1, 101)]
  table = pd.DataFrame({"file": names, "age": np.arange(1, 101)})
  shuffled = finding.shuffle(table, "hash")
  again = finding.shuffle(table[::-1], "hash")
  assert shuffled["file"].tolist() == again["file"].tolist()
  assert sorted(shuffled["age"]) == table["age"].tolist()
  train = shuffled["age"][:90]
  held_out = shuffled["age"][90:]
  assert abs(train.mean() - held_out.mean()) < 25  # sorted: 45.5 and 95.5
  assert finding.shuffle(table, "file") is table


def test_a_lock_ends_with_its_process(tmp_path):
  code = "import sys, time; from cvae_jax.host import lock\n"
  code += "with lock.hold(sys.argv[1], 'preparing'):\n"
  code += "  print('held', flush=True)\n  time.sleep(30)"
  words = [sys.executable, "-c", code, str(tmp_path)]
  child = subprocess.Popen(words, stdout=subprocess.PIPE)
  try:
    assert child.stdout.readline() == b"held\n"
    with (
      pytest.raises(lock.FolderInUse, match="is preparing in"),
      lock.hold(tmp_path, "testing"),
    ):
      pass
  finally:
    child.kill()
    child.communicate()
  with lock.hold(tmp_path, "testing"):
    assert (tmp_path / ".lock").exists()


def test_a_locked_folder_gets_no_second_set(tmp_path, capsys):
  source = tmp_path / "source"
  draw(source / "a.png", 1)
  table_of(source, file=["a.png"], male=[0])
  # Another open file: it excludes this process.
  with lock.hold(tmp_path / "out", "testing"):
    assert prepare(source, tmp_path / "out") == 1
  assert "is testing in" in capsys.readouterr().err
  assert prepare(source, tmp_path / "out") == 0
  left = [f for f in os.listdir(tmp_path / "out") if f.endswith(".tmp")]
  assert left == []


@pytest.mark.parametrize("by", ["folder", "class", "label"])
def test_every_tenth_of_the_rows_has_every_class(by):
  sizes = {"cat": 20, "dog": 33, "owl": 147}
  names = [f"{k}/{i}.png" for k, n in sizes.items() for i in range(n)]
  table = pd.DataFrame({"file": names})
  classes = table["file"].str.partition("/")[0]
  if by != "folder":
    table["file"] = table["file"].str.replace("/", "_")
    table[by] = classes
  rows = finding.shuffle(table, "hash")
  found = rows["file"].str[:3].to_numpy()
  assert sorted(rows["file"]) == sorted(table["file"])
  for start in range(len(found) - 19):
    assert {*found[start : start + 20]} == {*sizes}
  again = finding.shuffle(table[::-1], "hash")
  assert again["file"].tolist() == rows["file"].tolist()


def test_folders_of_few_images_are_no_classes():
  names = [f"{i // 4}/{i}.png" for i in range(40)]
  table = pd.DataFrame({"file": names})
  flat = table.assign(file=table["file"].to_numpy())
  digest = lambda name: hashlib.sha256(name.encode()).hexdigest()  # noqa: E731
  expected = sorted(flat["file"], key=digest)
  assert finding.shuffle(table, "hash")["file"].tolist() == expected


def test_a_set_with_people_says_so(tmp_path):
  draw(tmp_path / "a.png", 1)
  for people in (True, False):
    columns = {"person": [7]} if people else {}
    table_of(tmp_path, file=["a.png"], male=[0], **columns)
    assert prepare(tmp_path, tmp_path / f"{people}") == 0
    info = prepared.read(tmp_path / f"{people}").info
    assert info.get("split_column") == ("person" if people else None)


@pytest.mark.parametrize(
  "word",
  [
    *("--size=1000000", "--size=0", "--count=0", "--count=-1", "--seed=-1"),
    *("--unknown=1.5", "--unknown=-0.1", "--unknown=nan"),
  ],
)
def test_shapes_of_no_size_or_number_are_refused(tmp_path, capsys, word):
  path = pathlib.Path(__file__).parents[1] / "data" / "prepare_shapes.py"
  main = runpy.run_path(str(path))["main"]
  assert main([f"--out={tmp_path / 'set'}", word]) == 1
  assert f"error: {word}: expected" in capsys.readouterr().err
  assert not (tmp_path / "set").exists()
