"""Tables of face attributes: UTKFace's names, CelebA's list, named CSVs.

Each adapter gives (table, left out): a DataFrame with `file` first and a
number per condition, and file → reason for the rows that have none.
"""

import pathlib
import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files.columns import require, values
from cvae_jax.data.files.face_csv import first_line, name_first, read_csv
from cvae_jax.host.paths import local

Adapted = tuple[pd.DataFrame, dict[str, str]]

# CelebA marks hair colours; `hair_color` runs from 0 (light) to 1 (dark).
HAIR = {
  "Black_Hair": 1.0,
  "Brown_Hair": 0.7,
  "Gray_Hair": 0.3,
  "Blond_Hair": 0.2,
}
CONDITIONS = ("male", "female", "hair_color", "mouth", "eyes")
_NEEDED = ("Male", "Mouth_Slightly_Open", "Narrow_Eyes", *HAIR)
_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_(\d+)\.")


def origin(files: Collection[str]) -> str:
  """Say whose faces files are, by their names: for reports.

  A few of UTKFace's own names lack a part, so nearly all have to fit.
  """
  if sum(map(bool, map(_UTKFACE.match, files))) >= 0.99 * len(files):
    return "UTKFace faces"
  drawn = all(name.startswith("synthetic_") for name in files)
  return "drawn faces" if drawn else "faces"


def read(
  table: str,
  files: Iterable[str] = (),
  hair: str = "mean",
  names: Sequence[str] = (),
  file_column: str = "",
) -> Adapted:
  """Read a table of one of three kinds.

  Args:
    table: "utkface" (attributes are in `files`), "celeba:FILE", or a FILE:
      CelebA's where its first line is a count, otherwise a named CSV.
    files: the names of the images there are.
    hair: for CelebA, see `celeba`.
    names: columns that a CSV must have.
    file_column: what a CSV calls its `file`, "" for that.

  Raises:
    DataError: if the table is missing or bad.
  """
  if table == "utkface":
    return utkface(files)
  kind, colon, rest = table.partition(":")
  official = kind == "celeba" and bool(colon)
  path = local(rest if official else table, "the table")
  if not path.is_file():
    raise DataError(f"no table {path}; give a file, celeba:FILE or utkface")
  if official or first_line(path).strip().isdigit():
    return celeba(path, hair)
  return read_named_csv(path, names, file_column=file_column)


def utkface(names: Iterable[str]) -> Adapted:
  """Read age, male and female from `[age]_[gender]_[race]_[date].jpg`.

  Gender 0 is male, 1 female. Names of another form are left out, as some of
  the published ones are. Source: susanqq.github.io/UTKFace.

  Raises:
    DataError: if no name has that form.
  """
  rows = []
  left_out = {}
  for name in names:
    if match := _UTKFACE.match(pathlib.PurePosixPath(name).name):
      female = int(match[2])
      rows.append((name, 1 - female, female, int(match[1])))
    else:
      left_out[name] = "its name is not [age]_[gender 0/1]_[race 0..4]_[date]."
  if not rows:
    raise DataError(
      f"none of {len(left_out)} images is named as UTKFace's are,"
      f" [age]_[gender]_[race]_[date].jpg{name_first(left_out)}"
    )
  table = pd.DataFrame(rows, columns=["file", "male", "female", "age"])
  return table, left_out


def celeba(path: pathlib.Path, hair: str = "mean") -> Adapted:
  """Read CelebA's attributes and derive the five conditions from them.

  hair_color is the mean of the marked colours in HAIR. All 40 attributes
  stay, as 0/1.

  Args:
    path: `list_attr_celeba.txt` (count, names, then rows of ±1), or a CSV
      with the same names (Kaggle's, ±1 or 0/1; `image_id` or `file` first).
    hair: rows with several colours are kept ("mean") or left out ("drop");
      those with none are always left out.

  Raises:
    DataError: if the count is wrong, a column is missing, or a value is
      neither ±1 nor 0/1.
  """
  if hair not in ("mean", "drop"):
    raise DataError(f"hair is mean or drop; found {hair!r}")
  table = _celeba_rows(path)
  require(path, table, _NEEDED)
  for name in _NEEDED:
    _marks(path, table, name)
  marks = [c for c in table if table[c].isin((-1, 1)).all()]
  table[marks] = (table[marks] == 1).astype(np.int64)
  marked = table[list(HAIR)].to_numpy()
  number = marked.sum(1)
  colour = (marked @ [*HAIR.values()]) / np.maximum(number, 1)
  derived = {
    "male": table["Male"],
    "female": 1 - table["Male"],
    "hair_color": colour.round(6),
    "mouth": table["Mouth_Slightly_Open"],
    "eyes": 1 - table["Narrow_Eyes"],
  }
  table = table.assign(**derived)
  table = table[["file", *derived, *table.columns.drop(["file", *derived])]]
  drop = (number == 0) | ((number > 1) & (hair == "drop"))
  why = np.where(number == 0, "no hair colour marked", "several hair colours")
  left_out = dict(zip(table["file"][drop], why[drop].tolist(), strict=True))
  return table[~drop].reset_index(drop=True), left_out


def _marks(where: object, table: pd.DataFrame, name: str) -> None:
  """Check that a column's values are all ±1 or all 0/1, naming one if not."""
  values(table, (name,), [(-1, 1)], where)
  low = -1 if (table[name] == -1).any() else 0
  bad = ~table[name].isin((low, 1)).to_numpy()
  if bad.any():
    row = int(bad.argmax())
    raise DataError(
      f"{where}: row {row + 1} ({table['file'].iloc[row]}), column {name!r}: "
      f"found {table[name].iloc[row]}, expected {low} or 1 as elsewhere in it"
    )


def _celeba_rows(path: pathlib.Path) -> pd.DataFrame:
  first = first_line(path).strip()
  if not first.isdigit():
    return read_csv(path)
  try:
    table = pd.read_csv(path, sep=r"\s+", skiprows=1, encoding="utf-8-sig")
  except ValueError as error:
    raise DataError(f"{path}: not CelebA's list: {error}".strip()) from error
  if len(table) != int(first):
    raise DataError(
      f"{path}: its first line says {first} rows, {len(table)} follow"
    )
  table.index = table.index.astype(str)
  return table.rename_axis("file").reset_index()


def read_named_csv(
  path: pathlib.Path,
  names: Sequence[str] = (),
  ranges: Sequence[tuple[float, float]] | None = None,
  file_column: str = "",
) -> Adapted:
  """Read a CSV with a header: `file` and columns of any names.

  A column `female` is made as 1 − male where there is only `male`.

  Args:
    path: the CSV.
    names: columns it must have, all numbers.
    ranges: (low, high) of each name.
    file_column: what it calls its `file`, "" for that.

  Raises:
    DataError: naming the file and what is missing, or the row, the column
      and the value that is wrong.
  """
  table = read_csv(path, file_column)
  if not {*_NEEDED} - {*table} and not {*CONDITIONS} & {*table}:
    raise DataError(
      f"{path}: these are CelebA's columns, of -1 and 1; give it as"
      f" --table=celeba:{path}"
    )
  if "male" in table and "female" not in table:
    values(table, ["male"], None, path)
    table.insert(table.columns.get_loc("male") + 1, "female", 1 - table["male"])
  values(table, names, ranges, path)
  return table[["file", *table.columns.drop("file")]], {}
