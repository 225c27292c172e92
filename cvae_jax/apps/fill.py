"""Fill the empty cells of a prepared set's table with what a judge reads.

A judge learns each attribute from the rows in which it is known, and reads it
in the other rows. Samples of a model that trains on the filled table show their
conditions nearly as well as those of a model that trains on a full table.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions import kinds
from cvae_jax.data.conditions.attribute import Attribute
from cvae_jax.data.conditions.number import Number
from cvae_jax.data.files import infer_kinds, prepared
from cvae_jax.host import commands
from cvae_jax.host.paths import local
from cvae_jax.loop.folder import exports
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.runs import Run, RunError

AT_ONCE = 1024  # images that are read from the file together
SURE = 0.9  # probability from which a level is taken


def fill(judge: Run, sure: float = SURE) -> tuple[pd.DataFrame, list[str]]:
  """Fill the table of the set that a judge was trained on.

  Args:
    judge: a run of configs/judge.py.
    sure: a level, a label or a rank is filled in where its probability is at
      least this, else the cell stays empty. Numbers and angles are filled in
      always, within the range that the training rows have.

  Returns:
    The table, `file` and `split` first, all values as text; and lines that say
    how many cells of each attribute were empty before, and how many are now.

  Raises:
    RunError: the run is no judge of a prepared set.
    DataError: the set is not there or damaged.
  """
  if judge.config.system != "judge" or judge.config.data.name != "images":
    raise RunError(
      f"{judge.folder} is no judge of prepared images: expected a run of "
      f"configs/judge.py; {purpose(judge)}"
    )
  if exports.is_export(judge.folder):
    raise RunError(
      f"{judge.folder} is an export, which does not say where the table that "
      "it was trained on is; give the judge's run itself"
    )
  how = f"{commands.format_prepare('images')} --images=… --table=…"
  folder = local(judge.config.data.path, "config.data.path")
  images, table, _ = prepared.read(folder, how=how, text=True)
  conditions = judge.conditions
  attributes = [conditions.attribute(name) for name in conditions.asked]
  empty = {
    a.name: np.array([not a.known(v) for v in table[a.name]])
    for a in attributes
  }
  before = {name: int(cells.sum()) for name, cells in empty.items()}
  rows = np.flatnonzero(np.any(list(empty.values()), axis=0))
  for start in range(0, len(rows), AT_ONCE):
    part = rows[start : start + AT_ONCE]
    read = judge.predict(images[part])
    for attribute in attributes:
      entries = read[:, conditions.columns(attribute.name)]
      _fill_rows(table, part, empty[attribute.name], attribute, entries, sure)
  lines = [
    f"{name}: {count:,} of {len(table):,} cells were empty, "
    f"{int(empty[name].sum()):,} are"
    for name, count in before.items()
  ]
  return table, lines


def next_command(judge: Run, table: pd.DataFrame, out: str | Path) -> str:
  """Return the command that prepares images again with the filled table.

  It states the size, and each kind that would not be inferred.

  Args:
    judge: a run of configs/judge.py.
    table: as `fill` returned it.
    out: where it is written.
  """
  stated = []
  for attribute in map(judge.conditions.attribute, judge.conditions.asked):
    entry = attribute.entry()
    entry.pop("scaled", None)
    if entry != _infer(table, attribute.name):
      stated.append(kinds.state(entry))
  images, _, _ = prepared.read(local(judge.config.data.path), text=True)
  height, width = images.shape[1:3]
  words = [
    f"--images=… --table={commands.quote(out)} --split=split",
    f"--size={height if height == width else f'{height}x{width}'}",
    *([f"--kind {commands.quote(','.join(stated))}"] if stated else []),
    "--out=…",
  ]
  return " ".join([commands.format_prepare("images"), *words])


def _infer(table: pd.DataFrame, name: str) -> dict[str, Any] | None:
  """Return the entry that a column has where its kind is not stated."""
  train = (table["split"] == "train").to_numpy()
  try:
    entries, _ = infer_kinds.infer(table[[name]], train, {}, {})
  except DataError:
    return None
  return entries[0] if entries else None


def _fill_rows(
  table: pd.DataFrame,
  rows: Sequence[int],
  empty: NDArray[np.bool_],
  attribute: Attribute,
  read: NDArray,
  sure: float,
) -> None:
  """Fill an attribute's empty cells of some rows; `empty` is kept up."""
  values = attribute.decode(read)
  certain = _certainty(attribute, read) >= sure
  for row, value, is_certain in zip(rows, values, certain, strict=True):
    if empty[row] and is_certain:
      table.loc[table.index[row], attribute.name] = _format(value, attribute)
      empty[row] = False


def _certainty(attribute: Attribute, read: NDArray) -> NDArray:
  """Return how probable the level that is read is, [N]; 1 for numbers."""
  if attribute.head == "softmax":
    return read.max(axis=-1)
  if attribute.kind == "ordinal":  # above the rank below, and not above its own
    ends = np.ones((len(read), 1)), read, np.zeros((len(read), 1))
    above = np.concatenate(ends, axis=1)
    rank = (read >= 0.5).sum(axis=-1)[:, None]
    share = -np.diff(above)
    return np.take_along_axis(share, rank, axis=1)[:, 0].clip(min=0.0)
  if attribute.head == "sigmoid":  # each entry is a yes or a no
    return np.maximum(read, 1.0 - read).min(axis=-1)
  return np.ones(len(read))


def _format(value: Any, attribute: Attribute) -> str:
  """Return a value as a table has it; a number is within its range."""
  if isinstance(value, float):
    text = f"{value:.6g}"
    if not isinstance(attribute, Number):
      return text
    low, high = attribute.range
    if low <= float(text) <= high:
      return text
    return repr(min(max(value, low), high))
  if isinstance(value, list | tuple):
    return ";".join(value)
  return str(value)
