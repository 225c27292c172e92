"""Digits whose files are whole but mean something else are found out."""

import re

import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import digit_files
from tests import data_digit_files_test as files

IMAGES, LABELS = files.make(0)
NUMBERED = ["label", *(f"pixel{i}" for i in range(784))]


def read(path):
  return digit_files.read("", str(path))[0]


def write_permuted(path, header, order):
  """Write the columns of a CSV in another order, label too."""
  rows = np.column_stack([LABELS, IMAGES.reshape(len(IMAGES), -1)])[:, order]
  lines = [[header[i] for i in order], *rows.tolist()]
  path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


@pytest.mark.parametrize(
  "header",
  [files.HEADER, NUMBERED, ["label", *(f"pixel{i}" for i in range(1, 785))]],
  ids=["1x1..28x28", "pixel0..pixel783", "pixel1..pixel784"],
)
@pytest.mark.parametrize("kind", ["sorted", "reversed", "random"])
def test_csv_columns_are_read_by_name_in_any_order(tmp_path, header, kind):
  order = {
    "sorted": np.argsort(header),
    "reversed": np.arange(785)[::-1],
    "random": np.random.default_rng(0).permutation(785),
  }[kind]
  write_permuted(tmp_path / "a.csv", header, order)
  images, labels = read(tmp_path / "a.csv")
  np.testing.assert_array_equal(images, IMAGES)
  np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
  ("at", "name", "message"),
  [
    (5, "1x4", "column '1x4' is there twice"),
    (5, "29x1", "no column '1x5', but '29x1'"),
    (1, "ink", "column 'ink' is no pixel"),
    (5, "label", "a `label` and 783 others"),
  ],
)
def test_csv_columns_twice_missing_or_unknown_are_named(
  tmp_path, at, name, message
):
  header = [*files.HEADER]
  header[at] = name
  files.write_csv(tmp_path / "a.csv", IMAGES, LABELS, header)
  with pytest.raises(DataError, match=re.escape(message)) as caught:
    read(tmp_path / "a.csv")
  assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
  ("change", "hint"),
  [
    (lambda text: text.replace(",", ";"), "separated by ;?"),
    (lambda text: text.replace(",", "\t"), "separated by tabs?"),
    (lambda text: text.partition("\n")[2], "no header?"),
  ],
)
def test_csv_of_another_make_gets_a_hint_and_no_long_line(
  tmp_path, change, hint
):
  path = tmp_path / "a.csv"
  files.write_csv(path, IMAGES, LABELS)
  path.write_text(change(path.read_text()))
  with pytest.raises(DataError, match=re.escape(hint)) as caught:
    read(path)
  assert len(str(caught.value)) < 300 + len(str(path))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
  path = tmp_path / "a.csv"
  files.write_csv(path, IMAGES, LABELS)
  path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
  np.testing.assert_array_equal(read(path)[0], IMAGES)


@pytest.mark.parametrize("kind", ["idx", "csv"])
def test_pixels_of_0_and_1_become_0_and_255_with_a_word(tmp_path, capsys, kind):
  binary = (IMAGES > 127).astype(np.uint8)
  path = tmp_path
  if kind == "idx":
    files.write_idx(tmp_path, "train", binary, LABELS)
  else:
    path = tmp_path / "a.csv"
    files.write_csv(path, binary, LABELS)
  np.testing.assert_array_equal(read(path)[0], binary * 255)
  assert "pixels are 0 and 1; read as 0 and 255" in capsys.readouterr().out


def test_nearly_black_digits_are_refused(tmp_path):
  files.write_idx(tmp_path, "train", IMAGES // 16, LABELS)  # as of 0..16
  with pytest.raises(DataError, match=r"brightest pixel is 15 of 255"):
    read(tmp_path)


def test_black_pictures_are_refused_with_the_file_s_name(tmp_path):
  files.write_csv(tmp_path / "a.csv", IMAGES * 0, LABELS)
  with pytest.raises(DataError, match=r"a\.csv: the brightest pixel is 0"):
    read(tmp_path / "a.csv")


def test_black_digits_on_white_get_a_warning(tmp_path, capsys):
  images = IMAGES.copy()
  images[:, 0], images[:, -1] = 0, 0  # as MNIST's margins are
  files.write_idx(tmp_path, "train", images, LABELS)
  read(tmp_path)
  assert capsys.readouterr().out == ""
  files.write_idx(tmp_path, "train", 255 - images, LABELS)
  read(tmp_path)
  assert "the corners are bright" in capsys.readouterr().out


def test_a_split_of_no_rows_is_refused_at_once(tmp_path):
  files.write_idx(tmp_path, "train", IMAGES, LABELS)
  files.write_idx(tmp_path, "t10k", IMAGES[:0], LABELS[:0])
  with pytest.raises(DataError, match=r"t10k-images.*: 0 images"):
    read(tmp_path)


def test_what_is_not_read_is_called_by_its_name(tmp_path):
  np.savez(tmp_path / "mnist.npz", x_train=IMAGES, y_train=LABELS)
  with pytest.raises(DataError, match="npz and zip files are not read"):
    read(tmp_path / "mnist.npz")
  with pytest.raises(DataError, match=r"mnist\.npz: npz files are not read"):
    read(tmp_path)
  folder = tmp_path / "idx"
  folder.mkdir()
  files.write_idx(folder, "train", IMAGES, LABELS)
  with pytest.raises(DataError, match=r"one idx file; give its folder"):
    read(folder / "train-images-idx3-ubyte")
  classes = tmp_path / "classes"
  (classes / "0").mkdir(parents=True)
  (classes / "0" / "a.png").touch()
  with pytest.raises(DataError, match="images in class folders"):
    read(classes)
  emnist = tmp_path / "emnist"
  emnist.mkdir()
  files.write_idx(emnist, "emnist-digits-train", IMAGES, LABELS)
  with pytest.raises(DataError, match="rename it to train-images-idx3-ubyte"):
    read(emnist)


@pytest.mark.parametrize(
  ("labels", "said"),
  [(np.arange(40) % 26 + 1, "26, 1..26"), (np.arange(47), "47, 0..46")],
)
def test_classes_that_are_no_digits_are_counted(tmp_path, labels, said):
  images = np.resize(IMAGES, (len(labels), 28, 28))
  files.write_idx(tmp_path, "train", images, labels.astype(np.uint8))
  with pytest.raises(DataError, match=re.escape(f"classes: {said}")):
    read(tmp_path)
