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
  prepared,
  shards,
  tables,
)
from cvae_jax.data.files.columns import describe
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
    found = reader.find(path, options.transpose, options.white)
    if found is not None:
      return _strip(_name_as_prepared(found, path))
  if options.transpose:
    raise DataError(f"--transpose is for arrays of pixels; {path} is none")
  return None


def _strip(found: Pictures) -> Pictures:
  """Take blanks off the ends of attributes, as off those of a table."""
  own = found.table.drop(columns="file").apply(lambda c: c.str.strip())
  return found._replace(table=found.table.assign(**own))


def _name_as_prepared(found: Pictures, path: pathlib.Path) -> Pictures:
  """Give the array of a prepared set the names that its own table has.

  Raises:
    DataError: if the set is damaged.
  """
  file = path / prepared.IMAGES if path.is_dir() else path
  if file.name != prepared.IMAGES or not prepared.is_prepared(file):
    return found
  files = prepared.read(file.parent, text=True).table["file"].tolist()
  if len(files) != len(found.table):  # the folder holds other arrays, too
    return found
  inside = dict(zip(files, found.table["file"], strict=True))
  images = found.images
  sizes = {name: images.bytes[own] for name, own in inside.items()}
  named = finding.list_images(
    files, lambda name: images.read(inside[name]), sizes
  )
  return found._replace(images=named, table=found.table.assign(file=files))


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
  """Join arrays with a table that names their rows, or has their order.

  Raises:
    DataError: if it has another number of rows, or names that do not fit.
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
      "images; a table of arrays has a row for each, in their order or with "
      "their names in the column file"
    )
  names = found.table["file"]
  column = options.file_column or "file"
  if options.file_column and column not in table:
    raise DataError(
      f"{path}: no column {column!r} (--file_column); it has {describe(table)}"
    )
  if column in table and _names_rows(table[column], names, path):
    table = table.set_index(column).loc[names].reset_index(drop=True)
  table = table.drop(columns=[column, "file"], errors="ignore")
  own = found.table.drop(columns=[c for c in table if c in found.table])
  return found._replace(table=pd.concat([own, table], axis=1))


def _names_rows(
  column: pd.Series, names: pd.Series, path: pathlib.Path
) -> bool:
  """Tell whether a column names the rows of arrays, each once.

  Raises:
    DataError: if only some of its values do, or are such names of others.
  """
  known = column.isin(names)
  if not (known | column.str.fullmatch(arrays.ROW_NAME)).any():
    return False
  if not known.all():
    row = int((~known).to_numpy().argmax())
    raise DataError(
      f"{path}: row {row + 1} names {column.iloc[row]!r}, which is no row of "
      f"the arrays (as {names.iloc[0]} is); name each row of these arrays, or "
      f"drop the column {column.name} if rows are in their order"
    )
  if (twice := column.duplicated()).any():
    raise DataError(
      f"{path}: two rows name {column[twice].iloc[0]}; each row of the arrays "
      "has one, so correct one of them"
    )
  return True
