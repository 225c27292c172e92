"""From images of any origin to a prepared set with splits and a schema."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import (
  finding,
  hints,
  infer_kinds,
  opening,
  schema,
  splits,
  streams,
)
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.data.files.preparing import Plan, make_fit, sha256
from cvae_jax.host import commands
from cvae_jax.host.console import say
from cvae_jax.host.wording import compose

SCHEMA = "schema.json"
LEAST = 8  # pixels a side that the networks of configs/images.py take


def plan(options: Any) -> Plan:
  """Plan the set that the options ask for, and print what it will hold.

  Raises:
    DataError: if anything is missing or bad.
  """
  for name in ("kind", "group", "split"):
    setattr(options, name, compose(getattr(options, name) or ""))
  asked = schema.parse(options.kind)
  fit = make_fit(options, LEAST)
  if fit.grey and options.on_grey == "skip":
    raise DataError("--on_grey=skip with --colour=grey would leave no image")
  pictures = _compose_text(opening.open_pictures(options))
  found = _split(pictures, options)
  table = pictures.table.drop(columns=splits.SPLIT, errors="ignore")
  attributes = table.drop(columns="file")
  for name in (options.group, options.split):  # these say no attribute
    if name in attributes and name not in asked:
      attributes = attributes.drop(columns=name)
  entries, left_out = infer_kinds.infer(
    attributes, found == "train", asked, pictures.stated
  )
  warnings = splits.check(attributes, found, entries)
  _tell(entries, left_out, attributes, found, warnings)
  names = [entry["name"] for entry in entries]
  table = _order_rows(table[["file", *names]], found, options)
  # Kept grey is checked image by image, so it is decoded with its colours.
  grey = options.colour == "keep" and streams.is_grey(pictures)
  height, width, channels = fit.shape
  text = json.dumps({"version": 1, "attributes": entries}, indent=2) + "\n"
  own = {
    "shape": [height, width, 1 if grey else channels],
    "table_sha256": sha256(table.to_csv()),
    "schema_sha256": sha256(text),
    "counts": {n: int((found == n).sum()) for n in splits.NAMES},
  }
  said = (
    f"kinds may be changed in {options.out / SCHEMA}. Next: "
    f"{commands.format_command('train')} --config=images "
    f"--config.data.path={commands.quote(options.out)} "
    f"--workdir={commands.quote(f'runs/{options.out.name}')}"
  )
  return Plan(pictures.images, table, fit, own, grey, {SCHEMA: text}, said)


def _compose_text(pictures: Pictures) -> Pictures:
  """Spell each accent in one way: a Mac writes ä as two characters, at times.

  Else one class, or one person of --group, would be two that look alike. Names
  of files stay as they are.
  """
  table = pictures.table.rename(columns=compose)
  for name in table.columns[1:]:
    table[name] = table[name].map(compose)
  stated = {
    compose(name): {**entry, "name": compose(name)}
    for name, entry in pictures.stated.items()
  }
  return pictures._replace(table=table, stated=stated)


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
    say("splits are those of the files; --split=80,10,10 draws others")
  ratio = ratio or splits.RATIO
  strata = [] if options.stratify == "no" else _strata(pictures, options)
  if not column:
    return splits.draw(table, ratio, options.seed, strata, options.group)
  found = splits.from_column(table[column]).to_numpy(str)
  if options.group:
    splits.check_groups(table[options.group], found, column)
  if "valid" not in found and "train" in found:
    own = np.flatnonzero(found == "train")
    shares = (1 - ratio[1], ratio[1], 0)
    rows = table.iloc[own].reset_index(drop=True)
    drawn = splits.draw(rows, shares, options.seed, strata, options.group)
    found[own] = drawn
    say("the files have no valid rows; a share of the train rows serves")
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
  table: pd.DataFrame, found: np.ndarray, options: Any
) -> pd.DataFrame:
  """Put the rows of each split together, so that a split is a slice."""
  if options.order == "split":
    generator = np.random.default_rng([options.seed, 1])
    order = generator.permutation(len(table))
  else:
    order = finding.shuffle(table, options.order).index.to_numpy()
  table = table.copy()
  table.insert(1, splits.SPLIT, found)
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
  say(f"{len(table):,} images: {', '.join(counts)}")
  said = schema.summary(entries, table) + hints.hints(entries, table)
  for line in said:
    say(line)
  for name, why in left_out.items():
    kind = commands.format_kind(name, "KIND")
    say(f"  {name}: left out ({why}); {kind} takes it")
  if not entries:
    say("  no attributes: a model of these images has no conditions")
  for line in warnings:
    say(line)
