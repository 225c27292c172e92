"""Hugging Face's image sets on disk: Parquet files with the images in them."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import archives, finding, splits
from cvae_jax.data.files.array_names import guess_split
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.data.files.tables import to_text

_ROWS = 256  # that are read at once


def find(path: pathlib.Path, transpose: bool, white: float) -> Pictures | None:
  """Open Parquet files that hold images, None if the path names none.

  Raises:
    DataError: if they hold no images, differ, or pyarrow is missing.
  """
  if path.is_file():
    files = [path] if path.suffix == ".parquet" else []
  else:
    files = sorted(path.glob("*.parquet")) or sorted(path.glob("*/*.parquet"))
  if not files:
    return None
  if transpose:
    raise DataError(f"--transpose is for arrays of pixels; {path} is none")
  try:
    from pyarrow import ArrowInvalid, parquet  # an extra
  except ModuleNotFoundError as error:
    raise DataError(
      f"{path} needs the package pyarrow: pip install pyarrow"
    ) from error
  try:
    opened = {file: parquet.ParquetFile(file) for file in files}
    image = _image_column(opened[files[0]], path)
    names = _level_names(opened[files[0]])
    rows = []
    found = [(find_split(file, path), opened[file]) for file in files]
    entries = _entries(found, image, names, rows)
    sizes, read = archives.spool(entries)
  except (ArrowInvalid, OSError, KeyError) as error:
    raise DataError(f"{path}: not Parquet of images: {error}") from error
  table = pd.DataFrame(rows, dtype=str).fillna("")
  if table[splits.SPLIT].nunique() < 2 or (table[splits.SPLIT] == "").any():
    table = table.drop(columns=splits.SPLIT)
  listed = {name: name for name in sizes}
  stated = {name: {"name": name, "kind": "class"} for name in names}
  return Pictures(finding.Images(listed, read, sizes, {}), table, stated)


def _image_column(file: Any, path: pathlib.Path) -> str:
  """Return the column whose values are {bytes, path} or bytes."""
  for field in file.schema_arrow:
    text = str(field.type)
    if text.startswith("struct<bytes") or text in ("binary", "large_binary"):
      return field.name
  raise DataError(
    f"{path}: no column of images ({{bytes, path}}) in the Parquet file; it "
    f"has {', '.join(file.schema_arrow.names)}"
  )


def _level_names(file: Any) -> dict[str, list[str]]:
  """Return the names of classes that the file's own description has."""
  said = (file.schema_arrow.metadata or {}).get(b"huggingface")
  features = json.loads(said)["info"]["features"] if said else {}
  return {
    name: feature["names"]
    for name, feature in features.items()
    if isinstance(feature, dict) and "names" in feature
  }


def find_split(file: pathlib.Path, path: pathlib.Path) -> str:
  """Return the split that a file's name means, or a folder's within `path`."""
  names = reversed(file.relative_to(path).parts or (file.name,))
  return next(filter(None, map(guess_split, names)), "")


def _entries(
  opened: list[tuple[str, Any]],
  image: str,
  names: dict[str, list[str]],
  rows: list[dict[str, str]],
) -> Iterator[tuple[str, bytes]]:
  """Yield each image's name and bytes; its attributes go to `rows`.

  `opened` has the split and the content of each file.
  """
  for split, file in opened:
    for batch in file.iter_batches(_ROWS):
      for record in batch.to_pylist():
        content = record.pop(image)
        if isinstance(content, dict):
          content = content["bytes"]
        name = f"{split or 'row'}/{len(rows):07d}"
        row = {"file": name, splits.SPLIT: split}
        for key, value in record.items():
          if key == "file" or (key == splits.SPLIT and split):
            continue  # they are names of the set's own
          if key in names and value is not None:
            value = names[key][value] if value >= 0 else None  # −1: no label
          row[key] = to_text(value)
        rows.append(row)
        yield name, content or b""
