"""Images of any size with conditions of any kind, as prepare_images wrote.

A set's schema.json says what its images can be asked for; it may be edited.
`config.path` is the set's folder. What a batch holds is the image and its
condition vector.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cvae_jax.data import DataError, Dataset
from cvae_jax.data.conditions import Conditions, check_version
from cvae_jax.data.files import prepared, splits
from cvae_jax.data.files.preparation import SCHEMA
from cvae_jax.data.files.splits import NAMES, SPLIT
from cvae_jax.host import commands
from cvae_jax.host.paths import local

__all__ = ["Conditions", "folder", "load"]


def load(config: Any) -> Dataset:
  """Load a prepared set: image uint8 [N, H, W, C], condition float32 [N, A].

  Args:
    config: `path`, the set's folder; `size`, "" or the size that the images
      must have, as in 64 or 48x80; `conditions`, "all", or the names of the
      attributes that condition, joined by commas, "" for none;
      `condition_dropout`: above 0 a value may be unknown.

  Returns:
    Rows in file order; images stay on disk, memory-mapped. Early stopping
    follows the rows of `valid`; final figures are of `test`.

  Raises:
    DataError: if data are missing or damaged, the schema does not fit them,
      or the config names no attribute of it.
  """
  where = folder(config)
  how = f"{commands.format_prepare('images')} --images=… --table=…"
  images, table, _ = prepared.read(where, how=how, text=True)
  if SPLIT not in table:
    raise DataError(f"{where} has no splits; prepare it again: {how}")
  _check_size(images.shape[1:3], config.get("size", ""), where)
  entries = _choose(_schema(where), config.conditions, where)
  rows = {name: splits.select(table[SPLIT] == name) for name in NAMES}
  train = table.iloc[rows["train"]]
  try:
    conditions = Conditions.fit(
      entries, train, True if config.condition_dropout else None
    )
    parts = {
      name: _columns(images, table, conditions, part)
      for name, part in rows.items()
    }
  except DataError as error:
    raise DataError(f"{where}: {error}") from error
  if parts["test"] is None and parts["valid"] is not None:
    print(
      f"note: {where} has no test rows: the valid rows serve for the final "
      "figures, too"
    )
    parts["test"] = parts.pop("valid")
  return Dataset(
    parts["train"],
    parts["test"],
    conditions,
    where.name,
    valid=parts.get("valid"),
  )


def folder(config: Any) -> pathlib.Path:
  """Return the folder of the prepared set.

  Raises:
    DataError: if the config names none.
  """
  if not config.path:
    raise DataError(
      "config.data.path names no prepared set; prepare your images with "
      f"{commands.format_prepare('images')} --images=FOLDER --out=data/mine, "
      "then give --config.data.path=data/mine"
    )
  return local(config.path, "config.data.path")


def _check_size(found: tuple[int, ...], asked: str, where) -> None:
  """Check that images are of the size that a config asks for, if it does.

  Raises:
    DataError: they are of another.
  """
  words = {"x".join(map(str, found)), *([str(found[0])] * (len({*found}) == 1))}
  if asked and asked not in words:
    raise DataError(
      f"size={asked}: the images in {where} have "
      f"{'x'.join(map(str, found))} pixels; prepare them with --size={asked}, "
      "or leave size out"
    )


def _schema(where: pathlib.Path) -> list[dict[str, Any]]:
  path = where / SCHEMA
  try:
    saved = json.loads(path.read_text(encoding="utf-8"))
    entries = saved["attributes"]
    names = [entry["name"] for entry in entries if entry["kind"]]
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DataError(
      f"{path}: no schema ({error!r}); correct what you edited, or prepare the "
      "set again with --force"
    ) from error
  check_version(saved)
  if len(set(names)) < len(names):
    raise DataError(f"{path}: a name comes twice: {', '.join(names)}")
  return entries


def _choose(
  entries: Sequence[Mapping[str, Any]], asked: str, where: pathlib.Path
) -> list[Mapping[str, Any]]:
  """Return the entries that a config names, in its order."""
  if asked == "all":
    return list(entries)
  by_name = {entry["name"]: entry for entry in entries}
  names = [name.strip() for name in asked.split(",") if name.strip()]
  if unknown := [name for name in names if name not in by_name]:
    raise DataError(
      f"config.data.conditions names {unknown[0]!r}; {where} has "
      f"{', '.join(by_name) or 'no attributes'}"
    )
  return [by_name[name] for name in names]


def _columns(
  images: np.ndarray, table: pd.DataFrame, conditions: Conditions, rows
) -> dict[str, np.ndarray] | None:
  part = table.iloc[rows]
  if not len(part):
    return None
  if conditions.attributes:
    vectors = conditions.encode_table(part.to_dict("list"))
  else:
    vectors = np.empty((len(part), 0), np.float32)
  return {"image": images[rows], "condition": vectors}
