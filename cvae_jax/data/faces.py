"""Faces conditioned on named attributes (faces spec, section 1).

`prepared` holds real faces that `data/prepare_faces.py` prepared,
`synthetic_faces` draws others; here is what they are taught with.
"""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvae_jax.data import (
  DataError,
  Dataset,
  face_tables,
  prepared,
  root,
  synthetic_faces,
)

NAMES = face_tables.CONDITIONS  # the published experiment's, in its order
HOW = "python data/prepare_faces.py --images=FOLDER_OR_ZIP --table=FILE"
RANGES = ((0.0, 1.0),) * len(NAMES)
_QUANTILES = (0.05, 0.5, 0.95)
_PANEL = ("male", "mouth", "eyes")  # what a panel varies, slowest first


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Maps named values to condition vectors [A], in the order of `names`.

  `ranges` has (low, high) of each name: what may be asked for. `quantiles`
  has (5 %, 50 %, 95 %) over the training rows: what has been seen.
  """

  names: tuple[str, ...]
  ranges: tuple[tuple[float, float], ...]
  quantiles: tuple[tuple[float, float, float], ...]

  def __post_init__(self):
    _check_names(self.names, self.ranges)

  @classmethod
  def fit(
    cls,
    vectors: npt.ArrayLike,
    names: tuple[str, ...],
    ranges: tuple[tuple[float, float], ...],
  ) -> Self:
    """Take the quantiles of training vectors [N, A]."""
    found = np.quantile(np.asarray(vectors, np.float64), _QUANTILES, axis=0)
    return cls(names, ranges, tuple(map(tuple, found.T.tolist())))

  @property
  def size(self) -> int:
    """Return A, the length of a condition vector."""
    return len(self.names)

  def encode(
    self, values: Mapping[str, npt.ArrayLike] | None = None, **named: Any
  ) -> npt.NDArray[np.float32]:
    """Build condition vectors [N, A] from a value of every name.

    Args:
      values: name → number or [N]; `named` are more of them, and win. Of
        male and female one suffices: the other is 1 minus it.

    Raises:
      DataError: if a name is unknown or missing, a value is outside its
        range, or lengths differ.
    """
    given = {**(values or {}), **named}
    for one, other in (("male", "female"), ("female", "male")):
      if one in self.names and one not in given and other in given:
        given[one] = 1 - np.asarray(given[other], np.float64)
    if wrong := sorted(given.keys() ^ set(self.names)):
      raise DataError(
        f"missing or unknown: {', '.join(wrong)}; the conditions are"
        f" {', '.join(self.names)}"
      )
    columns = [np.asarray(given[name], np.float64) for name in self.names]
    for name, x, (low, high) in zip(
      self.names, columns, self.ranges, strict=True
    ):
      bad = x[~((low <= x) & (x <= high))]  # written to catch nan too
      if bad.size:
        raise DataError(
          f"{name} {bad[0]:g} is outside [{low:g}, {high:g}], its range"
        )
    shapes = {x.shape for x in columns} - {()}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
      raise DataError(
        "values are each one number or [N], with the same N; found shapes "
        + ", ".join(f"{x.shape}" for x in columns)
      )
    columns = np.broadcast_arrays(*columns, np.empty(1))[:-1]
    return np.column_stack(columns).astype(np.float32)

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [P, A], settings that differ visibly, for sample grids.

    Male and female (slowest), mouth closed and open, eyes narrow and wide,
    from the 5 % to the 95 % quantile of training; all others at the median.
    Other names take the place of those that there are not; P is 8, or less
    where there are fewer than 3 names.
    """
    middle = {n: q[1] for n, q in zip(self.names, self.quantiles, strict=True)}
    varied = [n for n in _PANEL if n in self.names]
    varied += [n for n in self.names if n not in (*varied, "female")]
    ends = []
    for name in varied[:3]:
      low, _, high = self.quantiles[self.names.index(name)]
      ends.append(self._range("male")[::-1] if name == "male" else (low, high))
    rows = np.array(list(itertools.product(*ends)))
    chosen = middle | dict(zip(varied[:3], rows.T, strict=True))
    if "male" in chosen:
      chosen.pop("female", None)  # so that it follows male
    return self.encode(chosen)

  def _range(self, name: str) -> tuple[float, float]:
    return self.ranges[self.names.index(name)]

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return {
      "names": [*self.names],
      "ranges": [[*r] for r in self.ranges],
      "quantiles": [[*q] for q in self.quantiles],
    }

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned."""
    pairs = (tuple(map(tuple, saved[k])) for k in ("ranges", "quantiles"))
    return cls(tuple(saved["names"]), *pairs)


def load(config: Any) -> Dataset:
  """Load faces: image uint8 [N, S, S, 3], condition float32 [N, A].

  Args:
    config: `source`, "prepared" (the folder `path`, "" for `faces_120` in
      the data folder) or "synthetic" (`count` drawn faces); `names` and
      `ranges`, the columns that condition and their (low, high);
      `conditions`, A; `image_shape`, (S, S, 3); `train_rows`, how many of
      the first prepared rows train, 0 (and when synthetic) for all but a
      tenth; `split_column`, "" or a column (such as person) whose equal
      values never part: whole groups, in an order that only their values
      decide, train while they fit.

  Returns:
    Rows in file order. Images of a prepared set stay on disk, memory-mapped;
    a split by groups that do not lie together copies them. test is None
    where all rows train.

  Raises:
    DataError: if data are missing, damaged or out of range, or the config
      does not fit them.
  """
  names = tuple(config.names)
  ranges = tuple((float(low), float(high)) for low, high in config.ranges)
  _check_names(names, ranges)
  if config.conditions != len(names):
    raise DataError(
      f"config.data.conditions is {config.conditions}, but names are"
      f" {len(names)}: {', '.join(names)}"
    )
  images, table, where = _read(config)
  vectors = face_tables.values(table, names, ranges, where)
  rows = config.train_rows if config.source == "prepared" else 0
  parts = _split(table, rows, config.split_column, where)
  conditions = Conditions.fit(vectors[parts[0]], names, ranges)
  vectors = vectors.astype(np.float32)
  train, test = (
    {"image": images[rows], "condition": vectors[rows]} for rows in parts
  )
  return Dataset(train, test if len(test["condition"]) else None, conditions)


def _read(config: Any) -> tuple[np.ndarray, pd.DataFrame, str]:
  shape = tuple(config.image_shape)
  if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3:
    raise DataError(f"image_shape is (S, S, 3) for faces; found {shape}")
  if config.source == "synthetic":
    images, table = synthetic_faces.make(config.count, shape[0])
    return images, table, "synthetic faces"
  if config.source != "prepared":
    raise DataError(
      f"source is one of prepared, synthetic; found {config.source!r}"
    )
  folder = pathlib.Path(config.path or root() / "faces_120").expanduser()
  images, table, _ = prepared.read(folder, shape[0], HOW)
  return images, table, str(folder / prepared.ATTRIBUTES)


Rows = slice | npt.NDArray[np.intp]


def _split(
  table: pd.DataFrame, train_rows: int, column: str, where: str
) -> tuple[Rows, Rows]:
  """Choose training and held-out rows; slices where that is possible."""
  rows = len(table)
  wanted = train_rows or rows - max(1, rows // 10)
  if not 0 < wanted <= rows:
    raise DataError(f"train_rows is {train_rows}; {where} has {rows} rows")
  if not column:
    return slice(0, wanted), slice(wanted, rows)
  if column not in table:
    raise DataError(
      f"{where}: no column {column!r} to split by; it has"
      f" {', '.join(table.columns)}"
    )
  sizes = table[column].astype(str).value_counts()
  order = sorted(sizes.index, key=lambda g: hashlib.sha256(g.encode()).digest())
  ends = sizes[order].cumsum()
  training = table[column].astype(str).isin(ends.index[ends <= wanted])
  if not training.any():
    raise DataError(
      f"{where}: no group of {column!r} fits in {wanted} training rows"
    )
  return tuple(_rows(mask) for mask in (training.to_numpy(), ~training))


def _rows(mask: npt.ArrayLike) -> Rows:
  rows = np.flatnonzero(mask)
  if rows.size and rows[-1] - rows[0] + 1 == rows.size:
    return slice(int(rows[0]), int(rows[-1]) + 1)  # a view, not a copy
  return rows


def _check_names(names: tuple[str, ...], ranges: tuple) -> None:
  if not names or len(set(names)) < len(names):
    raise DataError(f"names are at least one and differ; found {names}")
  if len(ranges) != len(names):
    raise DataError(f"{len(names)} names {names} but {len(ranges)} ranges")
  for name, (low, high) in zip(names, ranges, strict=True):
    if not low < high:
      raise DataError(f"range of {name}: {low:g} is not below {high:g}")
