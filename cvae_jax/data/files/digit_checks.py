"""What digits may be wrong about without being damaged: order, scale, kind."""

import collections
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from cvae_jax.data import DataError

_DIM = 64
_BRIGHT = 127  # levels: no image reaches one, corners pass the other
_BY_PLACE = re.compile(r"(\d+)x(\d+)")
_BY_NUMBER = re.compile(r"(?:pixel)?_?(\d+)")
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


def pixel_order(names: Sequence[str], side: int, where: object) -> list[int]:
  """Return the positions of `1x1`, `1x2`, ... in a header, read by its names.

  Args:
    names: the header, `label` among them; pixels are `1x1` to `28x28` (row x
      column), or `pixel0` or `pixel1` on, in any order.
    side: 28.
    where: the file, for errors.

  Raises:
    DataError: naming a column that is there twice, is missing or unknown.
  """
  pixels = side * side
  others = [name for name in names if name != "label"]
  if "label" not in names or len(others) != pixels:
    short = ", ".join(name[:16] for name in names[:3])
    raise DataError(
      f"{where}: expected columns `label` and {pixels} pixels (1x1..28x28);"
      f" found {'a' if 'label' in names else 'no'} `label` and"
      f" {len(others)} others ({short}, ...){_describe_names(names)}"
    )
  counts = collections.Counter(names)
  if twice := [name for name, count in counts.items() if count > 1]:
    raise DataError(f"{where}: column {twice[0]!r} is there twice; keep one")
  at = {name: i for i, name in enumerate(names)}
  places = [f"{i}x{j}" for i in range(1, side + 1) for j in range(1, side + 1)]
  if _BY_PLACE.fullmatch(others[0]):
    wanted = places
  elif match := _BY_NUMBER.fullmatch(others[0]):
    stem = others[0][: match.start(1)]
    first = 0 if f"{stem}0" in at else 1
    wanted = [f"{stem}{i}" for i in range(first, first + pixels)]
  else:
    raise DataError(
      f"{where}: column {others[0][:40]!r} is no pixel; pixels are 1x1..28x28"
      " or pixel0..pixel783"
    )
  if missing := [name for name in wanted if name not in at]:
    unknown = sorted(set(others) - set(wanted))
    raise DataError(
      f"{where}: no column {missing[0]!r}, but {unknown[0][:40]!r}"
    )
  return [at[name] for name in wanted]


def _describe_names(names: Sequence[str]) -> str:
  for separator, said in ((";", ";"), ("\t", "tabs"), ("|", "|")):
    if len(names) < 3 and names[0].count(separator) > 1:
      return f"; separated by {said}? Commas are expected"
  if all(re.fullmatch(r"[\d.]+", name) for name in names):
    return "; no header? The first line names the columns"
  return ""


def to_bytes(images: np.ndarray, where: object) -> np.ndarray:
  """Return images [N, 28, 28] that use 0..255: those of 0 and 1 are scaled.

  Prints a line where it scales, and where digits look black on white.

  Raises:
    DataError: if there is no image, or their brightest pixel is nearly black.
  """
  if not len(images):
    raise DataError(f"{where}: 0 images; expected 1 or more")
  brightest = int(images.max())
  if brightest == 1:
    print(f"note: {where}: pixels are 0 and 1; read as 0 and 255")
    images = images * np.uint8(255)
  elif brightest < _DIM:
    raise DataError(
      f"{where}: the brightest pixel is {brightest} of 255; scale the pixels"
      " to 0..255"
    )
  if images[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean() > _BRIGHT:
    print(
      f"warning: {where}: the corners are bright, as of black digits on white;"
      " white on black is expected (255 - pixel)"
    )
  return images


def check_file(path: pathlib.Path) -> None:
  """Check that a file may be a CSV.

  Raises:
    DataError: it is a file of another kind; the error says of which.
  """
  with path.open("rb") as file:
    begin = file.read(8)
  if path.suffix in (".npz", ".npy") or begin[:4] == b"PK\3\4":
    raise DataError(
      f"{path}: NumPy's npz and zip files are not read; write its arrays as a"
      " CSV or as idx files (data/README.md)"
    )
  idx = re.search(r"[-.]idx\d-ubyte", path.name) or begin[:3] == b"\0\0\x08"
  if idx:
    raise DataError(
      f"{path}: one idx file; give its folder, {path.parent}, with the images"
      " and the labels"
    )


def describe_folder(folder: pathlib.Path) -> str:
  """Say what a folder without digits holds instead, "" if nothing known."""
  if not folder.is_dir():
    return ""
  entries = sorted(folder.iterdir())
  for path in entries:
    match = re.search(r"(train|test|t10k)-(images|labels)[-.]idx", path.name)
    if match and match.start():
      return (
        f" {folder} has {path.name}: rename it to"
        f" {path.name[match.start() :].replace('test-', 't10k-')}, and the"
        " others likewise."
      )
    if path.suffix == ".npz":
      return f" {folder} has {path.name}: npz files are not read."
    if path.is_dir() and any(
      file.suffix.lower() in _IMAGES for file in path.iterdir()
    ):
      return f" {folder} has images in class folders, which are not read."
  return ""
