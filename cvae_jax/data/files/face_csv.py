"""The reader of a table of faces in a CSV file."""

import pathlib
import re
import warnings
import zlib
from collections.abc import Iterable

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files.columns import describe
from cvae_jax.host.wording import shorten

# Of a file that is no table, or is compressed and cut short.
UNREADABLE = (
  *(ValueError, pd.errors.ParserWarning),
  *(EOFError, OSError, zlib.error),
)


def read_csv(path: pathlib.Path, file_column: str = "") -> pd.DataFrame:
  """Read a CSV file with names in its first line; the file's column is first.

  Raises:
    DataError: it cannot be read as one.
  """
  texts = {"file": str, "image_id": str}
  if file_column:
    texts[file_column] = str
  try:
    with warnings.catch_warnings():
      # Rows longer than the header would lose their end with only a warning.
      warnings.simplefilter("error", pd.errors.ParserWarning)
      table = pd.read_csv(
        path, dtype=texts, index_col=False, encoding="utf-8-sig"
      )
  except UNREADABLE as error:
    raise DataError(
      f"{path}: not a CSV table: {str(error).strip()}; expected a header and a"
      " row for each image"
    ) from error
  if not len(table):
    raise DataError(
      f"{path}: a header and no rows; expected a row for each image"
    )
  if file_column:
    if file_column not in table:
      raise DataError(
        f"{path}: no column {file_column!r} (--file_column); it has"
        f" {describe(table)}"
      )
    if file_column != "file":
      table = table.drop(columns="file", errors="ignore")
    table = table.rename(columns={file_column: "file"})
  elif "file" not in table:
    table = table.rename(columns={"image_id": "file"})
  if "file" not in table:
    likely = [c for c in table if re.search(r"path|image|file|name", str(c))]
    raise DataError(
      f"{path}: no column 'file'; it has {describe(table)}. Rename the one"
      " that names the images to file, or give"
      f" --file_column={likely[0] if likely else 'NAME'}"
    )
  if table["file"].isna().any():
    row = int(table["file"].isna().to_numpy().argmax()) + 1
    raise DataError(f"{path}: row {row}, column 'file' is empty")
  return table


def first_line(path: pathlib.Path) -> str:
  """Return the first line of a text file."""
  with path.open(encoding="utf-8-sig", errors="replace") as file:
    return file.readline(1000)


def name_first(names: Iterable[str]) -> str:
  """Name the first of some things, in brackets."""
  names = list(names)
  return f" (found {shorten(names, 3)})" if names else ""
