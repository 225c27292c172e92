"""From images of any origin to a prepared set with splits and a schema."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import (
  image_files,
  infer_kinds,
  opening,
  preparing,
  schema,
  splits,
)
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.host import commands

FITS = ("squash", "crop", "pad")
COLOURS = ("keep", "grey", "rgb")
SCHEMA = "schema.json"
LEAST = 8  # pixels a side that the networks of configs/images.py take
_PEEK = 32  # images that are looked at for colour


def prepare(options: Any) -> None:
  """Write the set that the options ask for, unless it is there.

  Raises:
    DataError: if anything is missing, bad, or there with other settings.
  """
  height, width = _size(options.size)
  asked = schema.parse(options.kind)
  pictures = opening.open_pictures(options)
  found = _split(pictures, options)
  table = pictures.table.drop(columns=splits.SPLIT, errors="ignore")
  attributes = table.drop(columns="file")
  for name in (options.group, options.split):  # these say no attribute
    if name in attributes and name not in asked:
      attributes = attributes.drop(columns=name)
  entries, left_out = infer_kinds.infer(
    attributes, found == "train", asked, pictures.stated
  )
  levels = {e["name"]: e["levels"] for e in entries if "levels" in e}
  warnings = splits.check(attributes, found, levels)
  _tell(entries, left_out, attributes, found, warnings)
  names = [entry["name"] for entry in entries]
  table = _order_rows(table[["file", *names]], found, options.seed)
  fit = image_files.Fit(
    height,
    options.crop,
    resize=options.resize,
    middle=options.fit == "crop",
    width=0 if width == height else width,
    pad=options.fit == "pad",
    grey=options.colour == "grey",
  )
  # Kept grey is checked image by image, so it is decoded with its colours.
  grey = options.colour == "keep" and _is_grey(pictures)
  text = json.dumps({"version": 1, "attributes": entries}, indent=2) + "\n"
  options.order = "split"
  preparing.write(
    options,
    pictures.images,
    table,
    fit,
    {
      "shape": [height, width, 1 if grey else fit.shape[2]],
      "table_sha256": hashlib.sha256(table.to_csv().encode()).hexdigest(),
      "schema_sha256": hashlib.sha256(text.encode()).hexdigest(),
      "counts": {n: int((found == n).sum()) for n in splits.NAMES},
    },
    what="images",
    remedy="--fit=crop or --fit=pad",
    choose=(lambda images: _grey_only(images, table["file"]))
    if grey
    else (lambda images: images),
    beside={SCHEMA: text},
  )
  print(
    f"kinds may be changed in {options.out / SCHEMA}. Next: "
    f"{commands.format_command('train')} --config=configs/images.py "
    f"--config.data.path={options.out} --workdir=runs/{options.out.name}"
  )


def _size(text: str) -> tuple[int, int]:
  match = re.fullmatch(r"(\d+)(?:[x×,](\d+))?", text.strip())
  sides = [int(n) for n in match.groups() if n] if match else []
  if not sides or min(sides) < LEAST:
    raise DataError(
      f"--size={text}: expected the side, as in 64, or HEIGHTxWIDTH, as in "
      f"48x80, of at least {LEAST} pixels"
    )
  return sides[0], sides[-1]


def _split(pictures: Pictures, options: Any) -> np.ndarray:
  """Return the split of each row, train, valid or test."""
  table = pictures.table
  ratio = splits.parse_ratio(options.split)
  column = options.split if options.split and ratio is None else ""
  if column and column not in table:
    raise DataError(
      f"--split={column}: neither shares, as in 80,10,10, nor a column; there "
      f"is {', '.join(table.columns[1:])}"
    )
  if options.group and options.group not in table:
    raise DataError(
      f"--group={options.group}: no such column; there is "
      f"{', '.join(table.columns[1:])}"
    )
  if not column and ratio is None and splits.SPLIT in table:
    column = splits.SPLIT
    print("splits are those of the files; --split=80,10,10 draws others")
  ratio = ratio or splits.RATIO
  strata = [] if options.stratify == "no" else _strata(pictures, options)
  if not column:
    return splits.draw(table, ratio, options.seed, strata, options.group)
  found = splits.from_column(table[column]).to_numpy(str)
  if "valid" not in found and "train" in found:
    own = np.flatnonzero(found == "train")
    shares = (1 - ratio[1], ratio[1], 0)
    rows = table.iloc[own].reset_index(drop=True)
    drawn = splits.draw(rows, shares, options.seed, strata, options.group)
    found[own] = drawn
    print("the files have no valid rows; a share of the train rows serves")
  return found


def _strata(pictures: Pictures, options: Any) -> list[str]:
  """Return the columns that are classes: every split shall have each."""
  table = pictures.table.drop(columns=["file", splits.SPLIT], errors="ignore")
  asked = schema.parse(options.kind)
  entries, _ = infer_kinds.infer(
    table, np.ones(len(table), bool), asked, pictures.stated
  )
  kinds = ("class", "binary", "ordinal")
  return [entry["name"] for entry in entries if entry["kind"] in kinds]


def _order_rows(
  table: pd.DataFrame, found: np.ndarray, seed: int
) -> pd.DataFrame:
  """Put the rows of each split together, shuffled, so that they are slices."""
  table = table.copy()
  table.insert(1, splits.SPLIT, found)
  order = np.random.default_rng([seed, 1]).permutation(len(table))
  rank = table[splits.SPLIT].map(splits.NAMES.index).to_numpy()[order]
  order = order[np.argsort(rank, kind="stable")]
  return table.iloc[order].reset_index(drop=True)


def _tell(
  entries: Sequence[dict],
  left_out: dict[str, str],
  table: pd.DataFrame,
  found: np.ndarray,
  warnings: Sequence[str],
) -> None:
  counts = [f"{name} {(found == name).sum():,}" for name in splits.NAMES]
  print(f"{len(table):,} images: {', '.join(counts)}")
  for line in schema.summary(entries, table):
    print(line)
  for name, why in left_out.items():
    print(f"  {name}: left out ({why}); --kind {name}=KIND takes it")
  if not entries:
    print("  no attributes: a model of these images has no conditions")
  for line in warnings:
    print(line)


def _is_grey(pictures: Pictures) -> bool:
  """Tell whether images have no colour, from some where they are files."""
  if pictures.grey is not None:
    return pictures.grey
  names = pictures.table["file"]
  chosen = np.linspace(0, len(names) - 1, min(_PEEK, len(names))).astype(int)
  for name in names.iloc[chosen]:
    try:
      image = image_files.decode(pictures.images.read(name))
    except (DataError, OSError):
      continue  # named when all are decoded
    if _has_colour(image):
      return False
  return True


def _has_colour(image: np.ndarray) -> bool:
  return bool((image[..., :1] != image[..., 1:]).any())


def _grey_only(
  images: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass on one channel of grey images.

  Raises:
    DataError: if one has colours.
  """
  for name, image in zip(files, images, strict=True):
    if isinstance(image, str):
      yield image
      continue
    if _has_colour(image):
      raise DataError(
        f"{name} has colours, the first images that were looked at have none; "
        "give --colour=rgb, or --colour=grey to drop them"
      )
    yield image[..., :1]
