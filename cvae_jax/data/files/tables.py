"""Tables of attributes, all cells as text: CSV, TSV, JSONL, Parquet, CelebA's.

A missing value is the empty text. Numbers keep the text that they have in the
file, so what a table says is what is stored.
"""

import gzip
import io
import json
import re
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd

from cvae_jax.data import DataError

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
MISSING = ("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "null")
_DECIMAL_COMMA = r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?"
_THOUSANDS = r"[-+]?[1-9]\d{0,2}(,\d{3})*"
_UNREADABLE = (
  *(ValueError, EOFError, OSError, zlib.error),
  pd.errors.ParserWarning,
)


def is_table(name: str) -> bool:
  """Tell by its name whether a file may be a table."""
  return name.lower().removesuffix(".gz").endswith(ENDINGS)


def read(content: bytes, name: str) -> pd.DataFrame:
  """Read a table by its name's ending; all cells are text.

  Args:
    content: of the file, gzipped or not.
    name: of the file.

  Raises:
    DataError: if it is no such table, damaged or empty, or a package is
      missing.
  """
  try:
    if content.startswith(b"\x1f\x8b"):
      content = gzip.decompress(content)
    with warnings.catch_warnings():
      # Rows longer than the header would lose their end with only a warning.
      warnings.simplefilter("error", pd.errors.ParserWarning)
      table = _reader(name)(content)
  except DataError:
    raise
  except UnicodeDecodeError as error:
    raise DataError(
      f"{name}: not UTF-8 ({error}); save the table as UTF-8"
    ) from error
  except _UNREADABLE as error:
    said = " ".join(str(error).split())
    raise DataError(f"{name}: not a table that can be read: {said}") from error
  table.columns = [str(column).strip() for column in table.columns]
  names = list(table.columns)
  if twice := sorted({column for column in names if names.count(column) > 1}):
    raise DataError(f"{name}: column {twice[0]!r} comes twice; rename one")
  if not len(table):
    raise DataError(f"{name}: a header and no rows; each image has a row")
  return table.apply(_drop_missing)


def _reader(name: str) -> Callable[[bytes], pd.DataFrame]:
  ending = name.lower().removesuffix(".gz").rpartition(".")[2]
  readers = {
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "json": _json_lines,
    "parquet": _parquet,
  }
  return readers.get(ending, _csv)


def _drop_missing(column: pd.Series) -> pd.Series:
  text = column.str.strip()
  return text.where(~text.isin(MISSING), "")


def _csv(content: bytes) -> pd.DataFrame:
  text = content.decode("utf-8-sig")
  first = text.lstrip("\r\n").partition("\n")[0]
  if first.strip().isdigit():
    return _celeba(text, int(first))
  separator = max(",;\t|", key=first.count)
  if said := re.fullmatch(r'"?sep=(.)"?[\r;,\t ]*', first, re.IGNORECASE):
    separator = said[1]  # a line that some programs write for Excel
    text = text.lstrip("\r\n").partition("\n")[2]
  # Without a header: pandas would rename a column that comes twice.
  rows = pd.read_csv(
    io.StringIO(text),
    sep=separator,
    dtype=str,
    header=None,
    keep_default_na=False,
    index_col=False,
    skipinitialspace=True,
  ).fillna("")
  table = rows.iloc[1:].reset_index(drop=True)
  table.columns = rows.iloc[0].tolist()
  # Excel ends lines by ;; where a cell beside the table was once in use.
  unused = (rows == "").all().to_numpy()
  table = table.loc[:, ~unused]
  if separator in ";\t":
    return table.apply(_decimal_points, thousands=separator != ";")
  return table


def _decimal_points(column: pd.Series, thousands: bool) -> pd.Series:
  """Turn 0,5 into 0.5 where all known cells of a column are such numbers.

  Args:
    column: text.
    thousands: a column in which every comma may stand before a thousand, as
      in 1,234, stays as it is.
  """
  cells = column.str.strip()
  given = cells[~cells.isin(MISSING)]
  if not len(given) or not given.str.fullmatch(_DECIMAL_COMMA).all():
    return column
  if thousands and given.str.fullmatch(_THOUSANDS).all():
    return column
  return column.str.replace(",", ".", regex=False)


def _celeba(text: str, count: int) -> pd.DataFrame:
  """Read a count, then names, then rows of a file name and ±1."""
  table = pd.read_csv(
    io.StringIO(text),
    sep=r"\s+",
    skiprows=1,
    dtype=str,
    keep_default_na=False,
  )
  if len(table) != count:
    raise DataError(f"its first line says {count} rows, {len(table)} follow")
  return table.rename_axis("file").reset_index().astype(str)


def _json_lines(content: bytes) -> pd.DataFrame:
  text = content.decode("utf-8-sig").strip()
  if text.startswith("["):
    records = json.loads(text)
  else:
    records = [json.loads(line) for line in text.splitlines() if line.strip()]
  if not records or not all(isinstance(record, dict) for record in records):
    raise DataError("expected a JSON object for each image, one a line")
  names = list(dict.fromkeys(name for record in records for name in record))
  return pd.DataFrame(
    {name: [to_text(record.get(name)) for record in records] for name in names},
    dtype=str,
  )


def _parquet(content: bytes) -> pd.DataFrame:
  try:
    from pyarrow import parquet  # an extra
  except ModuleNotFoundError as error:
    raise DataError(
      "a Parquet table needs the package pyarrow: pip install pyarrow"
    ) from error
  found = parquet.read_table(io.BytesIO(content)).to_pydict()
  return pd.DataFrame(
    {name: [to_text(v) for v in values] for name, values in found.items()},
    dtype=str,
  )


def to_text(value: Any) -> str:
  """Write a value as a cell: "" for none, a;b for a list."""
  if value is None:
    return ""
  if isinstance(value, bool):
    return "true" if value else "false"
  if isinstance(value, (list, tuple)):
    return ";".join(to_text(item) for item in value)
  return str(value)


def to_numbers(column: pd.Series) -> pd.Series | None:
  """Return a column's values that are not missing as floats.

  None where one is no finite number, or where there is no value.
  """
  given = column[column != ""]
  numbers = pd.to_numeric(given, errors="coerce").astype(float)
  finite = len(given) and numbers.notna().all() and numbers.abs().max() < 1e300
  return numbers if finite else None


def find_file_columns(table: pd.DataFrame) -> list[str]:
  """Return the columns whose names say that they name files."""
  likely = r"file|path|image|img|photo|picture|name|id\b"
  return [c for c in table if re.search(likely, c, re.IGNORECASE)]
