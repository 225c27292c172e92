"""Match the names in a table with the images that there are."""

import collections
from collections.abc import Iterable

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files.finding import Images
from cvae_jax.host.wording import compose, shorten


def keep_present(
  images: Images, table: pd.DataFrame, name: str, on_missing: str
) -> pd.DataFrame:
  """Return the rows of a table whose image is there.

  Args:
    images: at any depth.
    table: `file` may begin in another folder than the images do.
    name: of the table, for errors.
    on_missing: "fail" or "skip": rows whose image is not there.

  Raises:
    DataError: if images are missing and may not be, or all are, or a name is
      that of two files.
  """
  table = resolve(images, respell(images, table))
  here = table["file"].isin(images.where.keys())
  if not here.all():
    missing = table["file"][~here].tolist()
    said = (
      f"{len(missing):,} of {len(table):,} images of {name} are missing: "
      f"{shorten(missing)}"
    )
    if on_missing == "fail" or not here.any():
      raise DataError(f"{said}; give --on_missing=skip to go on without them")
    print(said)
  table = table[here].reset_index(drop=True)
  check_unique(images, table["file"])
  return table


def check_unique(images: Images, files: Iterable[str]) -> None:
  """Check that each name that is asked for is one file's.

  Raises:
    DataError: if a name of several files comes without its folder.
  """
  for name in files:
    paths = images.twice.get(name, ())
    if len(paths) > 1:
      raise DataError(
        f"{len(paths)} files {name}: {shorten(paths)}; the table says {name};"
        " write folder/name"
      )


def plain(name: str) -> str:
  """Return a file's name by which other spellings of it are known.

  An accent may be a character of its own, as in names from a Mac, and systems
  differ in whether PNG and png are the same.
  """
  return compose(name).casefold()


def respell(images: Images, table: pd.DataFrame) -> pd.DataFrame:
  """Replace names by those of the images that only they can mean."""
  unknown = set(table["file"]) - images.where.keys()
  spelt = collections.defaultdict(set)
  for name, path in images.where.items() if unknown else ():
    spelt[plain(name)].add(path)
  found = {}
  for name in unknown:
    paths = spelt.get(plain(name), ())
    if len(paths) == 1:
      found[name] = next(iter(paths))
  return table.assign(file=table["file"].replace(found)) if found else table


def resolve(images: Images, table: pd.DataFrame) -> pd.DataFrame:
  """Replace names that begin in another folder than the images do.

  A table's `img/0001.jpg` is the images' `0001.jpg` or `all/img/0001.jpg`:
  one path ends with the other.

  Raises:
    DataError: if two names of the table would be one image, or one name two.
  """
  by_name = {}
  for path in {*images.where.values()}:
    by_name.setdefault(path.rpartition("/")[2], []).append(path)
  found = {}
  for name in set(table["file"]) - images.where.keys():
    asked = "/" + name.replace("\\", "/").lstrip("/")
    paths = [
      path
      for path in by_name.get(asked.rpartition("/")[2], ())
      if asked.endswith("/" + path) or ("/" + path).endswith(asked)
    ]
    if len(paths) > 1:
      raise DataError(
        f"the table's {name} may be any of {shorten(sorted(paths))}"
      )
    if paths:
      found[name] = paths[0]
  names = collections.defaultdict(set)
  for name in set(table["file"]):
    names[found.get(name, images.where.get(name, name))].add(name)
  for path, several in names.items():
    if len(several) > 1:
      raise DataError(
        f"the table's {shorten(sorted(several))} are one image, {path}; give"
        " --images the folder in which the table's names begin"
      )
  return table.assign(file=table["file"].replace(found))
