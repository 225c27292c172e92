"""Find images in a folder or an archive, and order a table's rows."""

import collections
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import archives
from cvae_jax.host.wording import shorten

ENDINGS = (
  ".jpg",
  ".jpeg",
  ".png",
  ".bmp",
  ".webp",
  ".tif",
  ".tiff",
  ".gif",
  ".ppm",
  ".avif",
)


class Images(NamedTuple):
  """Images anywhere in a folder, a zip, a tar or a file of arrays."""

  where: dict[str, str]  # file name, or path inside → path inside
  read: Callable[[str], Any]  # a file's bytes, or an array of pixels
  bytes: dict[str, int]  # of every file, also of those that are no images
  twice: dict[str, list[str]]  # file name → the paths that share it


def open_images(path: pathlib.Path, tables: Sequence[str] = ()) -> Images:
  """List the images of a folder, zip or tar; linked folders are entered.

  What is not looked at is counted by its ending and printed.

  Args:
    path: of the folder or archive.
    tables: endings of files that are looked at, too.

  Raises:
    DataError: if it is none of these.
  """
  if path.exists() and not (path.is_dir() or path.is_file()):
    # A device would never end.
    raise DataError(f"{path}: neither a folder nor a zip or tar; give one")
  if path.is_dir():
    found = {f.relative_to(path).as_posix(): f for f in walk(path)}
    sizes = {name: file.stat().st_size for name, file in found.items()}
    read = lambda name: (path / name).read_bytes()  # noqa: E731
  elif archives.is_tar(path):
    sizes, read = archives.open_tar(path)
  else:
    sizes, read = _open_zip(path)
  names = sorted(sizes, key=lambda n: (n.count("/"), n))
  for name in names:
    if _undecodable(name):
      raise DataError(
        f"{path}: the file name {name!r} is no UTF-8; rename the file"
      )
  images = [name for name in names if is_image(name)]
  rest = set(names) - set(images)
  known = (*tables, *(f"{ending}.gz" for ending in tables))
  _count_others(path, {n for n in rest if not n.lower().endswith(known)})
  return list_images(images, read, sizes)


def list_images(
  images: Sequence[str], read: Callable[[str], Any], sizes: dict[str, int]
) -> Images:
  """Return Images of paths, those nearest to the root first."""
  by_name = {}
  for name in images:
    by_name.setdefault(name.rpartition("/")[2], []).append(name)
  where = {short: paths[0] for short, paths in by_name.items()}
  where |= {name: name for name in images}
  twice = {short: paths for short, paths in by_name.items() if len(paths) > 1}
  return Images(where, read, sizes, twice)


def _open_zip(path: pathlib.Path) -> tuple[dict[str, int], Callable]:
  try:
    archive = zipfile.ZipFile(path)
  except (OSError, zipfile.BadZipFile) as error:
    raise DataError(
      f"{path}: neither a folder nor a zip or tar: {error}"
    ) from error
  infos = [info for info in archive.infolist() if not info.is_dir()]
  sizes = {info.filename: info.file_size for info in infos}
  if len(sizes) < len(infos):
    counts = collections.Counter(info.filename for info in infos)
    twice = [name for name, count in counts.items() if count > 1]
    raise DataError(
      f"{path}: {shorten(twice)} {'is' if len(twice) == 1 else 'are'} in the"
      " zip more than once; write the zip again with each name once"
    )
  return sizes, archive.read


def walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Find all files, through links too; a folder is entered once."""
  seen = set()
  for here, folders, names in os.walk(folder, followlinks=True):
    real = os.path.realpath(here)
    if real in seen:  # a loop, or a second link to the same folder
      folders.clear()
      continue
    seen.add(real)
    folders.sort()
    for name in names:
      file = pathlib.Path(here, name)
      if file.is_file():
        yield file


def _undecodable(name: str) -> bool:
  """Tell whether a name of the file system is no text: no table can hold it."""
  return any("\udc80" <= letter <= "\udcff" for letter in name)


def is_image(name: str | pathlib.Path) -> bool:
  """Tell by its name whether a file is an image."""
  short = str(name).rpartition("/")[2]
  return short.lower().endswith(ENDINGS) and not short.startswith(".")


def _count_others(path: pathlib.Path, names: set[str]) -> None:
  """Print how many files are no images by their names, of each ending."""
  endings = collections.Counter(
    pathlib.PurePosixPath(name).suffix.lower() or "no ending" for name in names
  )
  if endings:
    each = ", ".join(f"{count:,} {end}" for end, count in endings.most_common())
    print(f"not looked at in {path}: {each}")


_CLASS = ("class", "label")  # columns whose values every part shall have
_MANY = 10  # images a folder on average, from which on folders are classes


def shuffle(table: pd.DataFrame, order: str) -> pd.DataFrame:
  """Order rows by a digest of their file name, or leave them.

  Names are often sorted by age or class, and the last rows are held out. The
  digest needs no seed, so the same files are always in the same order. Where
  rows have classes, a column `class` or `label` or else folders of at least
  10 images on average, each class is spread evenly over the rows: every
  tenth in a row has each class that has 20 images or more.
  """
  if order == "file":
    return table
  key = lambda name: hashlib.sha256(name.encode()).hexdigest()  # noqa: E731
  table = table.iloc[np.argsort(table["file"].map(key), kind="stable")]
  classes = _classes(table)
  if classes is None:
    return table
  rows = classes.groupby(classes, dropna=False)
  at = (rows.cumcount() + 0.5) / rows.transform("size")
  return table.iloc[np.argsort(at, kind="stable")]


def _classes(table: pd.DataFrame) -> pd.Series | None:
  """Return each row's class, None where rows have none."""
  for name in _CLASS:
    if name in table:
      return table[name].astype(str)
  folders = table["file"].str.rpartition("/")[0]
  count = folders.nunique()
  return folders if 1 < count <= len(table) / _MANY else None
