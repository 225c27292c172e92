"""Opens what --images names, whatever it is."""

import pathlib
from typing import Any

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import (
  arrays,
  cifar,
  finding,
  idx,
  pictures,
  shards,
  tables,
)
from cvae_jax.data.files.finding import Images
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.host.paths import local

_READERS = (idx, cifar, arrays, shards)  # of what is no folder of images


def open_images(options: Any) -> Images:
  """Open the images that a preparation's options name.

  Raises:
    DataError: if there are none, or they cannot be read.
  """
  found = _open_arrays(options)
  return _open_files(options.images) if found is None else found.images


def open_pictures(options: Any) -> Pictures:
  """Open the images and attributes that a preparation's options name.

  Raises:
    DataError: if there are none, or they cannot be read.
  """
  found = _open_arrays(options)
  if found is not None:
    return _join_table(found, options)
  path = options.images
  images = _open_files(path)
  name, table = pictures.find_table(images, path, options.table)
  if table is None:
    names = [n.strip() for n in options.folders.split(",") if n.strip()]
    return pictures.from_folders(images, names)
  if not options.table:
    print(f"attributes are those of {name}")
  return pictures.from_table(
    images, table, name, options.file_column, options.on_missing
  )


def _open_arrays(options: Any) -> Pictures | None:
  """Open what is no folder or archive of image files, None if it is one."""
  path = options.images
  if not path.exists():
    raise DataError(
      f"--images={path}: no such file or folder; expected a folder or an "
      "archive of images, or a file of arrays"
    )
  for reader in () if _holds_images(path) else _READERS:
    if (found := reader.find(path, options.transpose)) is not None:
      return found
  if options.transpose:
    raise DataError(f"--transpose is for arrays of pixels; {path} is none")
  return None


def _open_files(path: pathlib.Path) -> Images:
  images = finding.open_images(path, tables.ENDINGS)
  if not images.where:
    raise DataError(
      f"{path}: no image in it; looked for {', '.join(finding.ENDINGS)}"
    )
  return images


def _holds_images(path: pathlib.Path) -> bool:
  return path.is_dir() and any(map(finding.is_image, finding.walk(path)))


def _join_table(found: Pictures, options: Any) -> Pictures:
  """Join arrays with a table whose rows are in their order.

  Raises:
    DataError: if it has another number of rows.
  """
  if not options.table:
    return found
  path = local(options.table, "--table")
  if not path.is_file():
    raise DataError(f"no table {path}")
  table = tables.read(path.read_bytes(), path.name)
  if len(table) != len(found.table):
    raise DataError(
      f"{path} has {len(table)} rows, {options.images} {len(found.table)} "
      "images; a table of arrays has a row for each, in their order"
    )
  own = found.table.drop(columns=[c for c in table if c in found.table])
  if "file" in table:
    own["file"] = found.table["file"]
    table = table.drop(columns="file")
  joined = pd.concat([own, table], axis=1)
  return found._replace(table=joined)
