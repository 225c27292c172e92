"""Images with the text of their attributes, whatever they come in."""

import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import splits, tables
from cvae_jax.data.files.columns import describe
from cvae_jax.data.files.finding import Images
from cvae_jax.data.files.folders import join_tables, split_folders
from cvae_jax.data.files.matching import keep_present, plain
from cvae_jax.data.files.schema import Entry
from cvae_jax.host.paths import local
from cvae_jax.host.wording import shorten


class Pictures(NamedTuple):
  """Images and a row of text for each: `file` first, then attributes.

  A column `split` is what the files themselves say of it. `stated` are the
  schema's entries that they state. `grey` says whether all images are grey,
  None where only the files can tell.
  """

  images: Images
  table: pd.DataFrame
  stated: Mapping[str, Entry] = types.MappingProxyType({})
  grey: bool | None = None


def list_paths(images: Images) -> list[str]:
  """List the images, each once.

  Raises:
    DataError: if there is none.
  """
  return sorted({*images.where.values()})


def from_folders(images: Images, names: Sequence[str] = ()) -> Pictures:
  """Take classes from folders, and splits from folders named train or test.

  Args:
    images: at any depth; folders around all of them say nothing.
    names: of the levels of folders, an attribute each; else all levels
      together are the attribute `class`.

  Raises:
    DataError: if folders are not as deep as there are names.
  """
  paths = list_paths(images)
  folders, found = split_folders(paths)
  columns = {"file": paths}
  if found:
    columns[splits.SPLIT] = found
  if names:
    deep = [len(folder) == len(names) for folder in folders]
    if not all(deep):
      raise DataError(
        f"--folders names {len(names)} levels ({', '.join(names)}); "
        f"{paths[deep.index(False)]} lies at another depth"
      )
    for i, name in enumerate(names):
      columns[name] = [folder[i] for folder in folders]
    stated = {name: {"name": name, "kind": "class"} for name in names}
    return Pictures(images, pd.DataFrame(columns, dtype=str), stated)
  classes = ["/".join(folder) for folder in folders]
  if len(set(classes)) < 2:
    return Pictures(images, pd.DataFrame(columns, dtype=str))
  columns["class"] = classes
  stated = {"class": {"name": "class", "kind": "class"}}
  return Pictures(images, pd.DataFrame(columns, dtype=str), stated)


def find_table(images: Images, where: pathlib.Path, given: str) -> tuple:
  """Find and read the table of a set: (its name, the table) or ("", None).

  Args:
    images: with the files beside them, among which a table may be.
    where: the set's path.
    given: the user's --table: a file, or one within the set; "" to look for
      a table beside the images, or one in each folder of them.

  Raises:
    DataError: if the given one is not there or cannot be read.
  """
  inside = [n for n in images.bytes if tables.is_table(n) and not _is_hidden(n)]
  if given:
    path = local(given, "--table")
    if path.is_file():
      return str(path), tables.read(path.read_bytes(), path.name)
    for name in inside:
      if name == given or name.endswith("/" + given):
        return name, tables.read(images.read(name), name)
    raise DataError(
      f"no table {given}, neither here nor in {where}"
      + (f"; there is {shorten(inside)}" if inside else "")
    )
  if not inside:
    return "", None
  depth = min(name.count("/") for name in inside)
  top = [name for name in inside if name.count("/") == depth]
  if len(top) > 1:
    if (joined := join_tables(images, top)) is not None:
      return shorten(top), joined
    print(f"note: {where} holds {shorten(top)}; --table=NAME uses one")
    return "", None
  try:
    table = tables.read(images.read(top[0]), top[0])
  except DataError:
    return "", None  # a text that is no table: a licence, a list
  if not _matches(images, table).any():
    return "", None
  return top[0], table


def _is_hidden(name: str) -> bool:
  return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def from_table(
  images: Images,
  table: pd.DataFrame,
  name: str,
  file_column: str = "",
  on_missing: str = "fail",
) -> Pictures:
  """Join images with the rows of a table that name them.

  Without a column `split` folders named train and test are the split.

  Args:
    images: at any depth.
    table: text.
    name: of the table, for errors.
    file_column: the column that names the images, "" to find it.
    on_missing: "fail" or "skip": rows whose image is not there.

  Raises:
    DataError: if no column names images, a name is that of two files or comes
      twice, or images are missing.
  """
  column = file_column or _file_column(images, table, name)
  if column not in table:
    raise DataError(
      f"{name}: no column {column!r} (--file_column); it has {describe(table)}"
    )
  table = table.rename(columns={column: "file"} if column != "file" else {})
  if list(table.columns).count("file") > 1:
    raise DataError(f"{name}: rename its column 'file', or drop it")
  table = table[["file", *table.columns.drop("file")]]
  if (table["file"] == "").any():
    row = int((table["file"] == "").to_numpy().argmax()) + 1
    raise DataError(f"{name}: row {row}, column {column!r} is empty")
  table = _add_endings(images, table)
  table = keep_present(images, table, name, on_missing)
  paths = table["file"].map(images.where)
  if (twice := paths.duplicated(keep=False)).any():
    rows = [int(i) + 1 for i in twice.to_numpy().nonzero()[0][:2]]
    raise DataError(
      f"{name}: rows {rows[0]} and {rows[1]} name one image, "
      f"{paths[twice].iloc[0]}; keep one of them"
    )
  unused = len({*images.where.values()}) - len(table)
  if unused:
    print(f"{unused:,} images have no row in {name}; they are left out")
  table = table.assign(file=paths)
  _, found = split_folders(paths.tolist())
  if len(set(found)) > 1 and splits.SPLIT not in table:
    table[splits.SPLIT] = found
  return Pictures(images, table)


def _matches(images: Images, table: pd.DataFrame) -> pd.Series:
  """Count for each column the values that name images; half without ending."""
  stems = _stems(images)
  spelt = {plain(name) for name in images.where}

  def share(value: str) -> float:
    name = value.replace("\\", "/").rpartition("/")[2]
    if name in images.where:
      return 1.0
    return 0.9 if plain(name) in spelt else 0.5 * (plain(name) in stems)

  return table.apply(lambda column: sum(map(share, column.head(200))))


def _file_column(images: Images, table: pd.DataFrame, name: str) -> str:
  counts = _matches(images, table)
  if counts.max():
    # Of equals the one that is named so: whole numbers name files 1, 2, 3.
    likely = [c for c in tables.find_file_columns(table) if counts[c]]
    best = [c for c in counts.index if counts[c] == counts.max()]
    return next((c for c in best if c in likely), best[0])
  if heads := [c for c in table.columns if c in images.where]:
    raise DataError(
      f"{name} has no line of column names: its first line names the image "
      f"{heads[0]}; add one, as in file,class"
    )
  likely = tables.find_file_columns(table)
  first = table[likely[0] if likely else table.columns[0]].iloc[0]
  raise DataError(
    f"{name}: no column names the images; it has {', '.join(table.columns)}, "
    f"and images are called {shorten(images.where)} (found {first!r}). "
    "--file_column=NAME says which one does"
  )


def _stems(images: Images) -> dict[str, list[str]]:
  found = {}
  for path in {*images.where.values()}:
    stem = plain(_bare(path.rpartition("/")[2]))
    found.setdefault(stem, []).append(path)
  return found


def _bare(path: str) -> str:
  return path.rpartition(".")[0]


def _add_endings(images: Images, table: pd.DataFrame) -> pd.DataFrame:
  """Replace names without an ending, 000001, by their file's, 000001.jpg."""
  unknown = set(table["file"]) - images.where.keys()
  stems = _stems(images) if unknown else {}
  found = {}
  for name in unknown:
    paths = stems.get(plain(name.replace("\\", "/").rpartition("/")[2]), [])
    ends = plain("/" + name)
    fitting = [p for p in paths if plain("/" + _bare(p)).endswith(ends)]
    if fitting or "/" in ends[1:]:  # a name with a folder is of that one
      paths = fitting
    if len(paths) > 1:
      raise DataError(
        f"the table's {name} may be any of {shorten(sorted(paths))}"
      )
    if paths:
      found[name] = paths[0]
  return table.assign(file=table["file"].replace(found)) if found else table
