"""Data that are handed in as arrays, and what they can be asked for.

    from cvae_jax import data

    dataset = data.from_arrays(images, {"shape": names, "size": sizes})
    condition = dataset.conditions.encode(shape="circle", size=0.5)

A column of words, whole numbers or booleans is a class. A column of floats is
a number, scaled to [0, 1] by its range in the training rows.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError, Dataset

_LEVELS = 9  # of a number that is asked for from low to high
_PANEL = 10  # settings in a sample grid, at most


@dataclasses.dataclass(frozen=True)
class Attribute:
  """One thing that can be asked for: a class with levels, or a number."""

  name: str
  levels: tuple[str, ...] = ()  # of a class
  range: tuple[float, float] = (0.0, 1.0)  # of a number

  @classmethod
  def fit(cls, name: str, values: np.ndarray) -> Self:
    """Take the levels or the range from training values [N].

    Raises:
      DataError: if the column is not [N], not finite, or one value alone.
    """
    if values.ndim != 1:
      raise DataError(f"{name}: expected one value a row; found {values.shape}")
    if values.dtype.kind != "f":
      return cls(name, tuple(str(level) for level in np.unique(values)))
    if not np.isfinite(values).all():
      raise DataError(f"{name}: a value is not finite; leave such rows out")
    low, high = float(values.min()), float(values.max())
    if low == high:
      raise DataError(f"{name}: all rows have the value {low:g}; leave it out")
    return cls(name, range=(low, high))

  @property
  def size(self) -> int:
    """Return the number of entries in a condition vector."""
    return len(self.levels) or 1

  def encode(self, values: npt.ArrayLike) -> np.ndarray:
    """Return [N, size]: one-hot of a class, a number scaled by its range.

    Raises:
      DataError: if a level is unknown or a number outside the range.
    """
    values = np.atleast_1d(np.asarray(values))
    if self.levels:
      known = {level: i for i, level in enumerate(self.levels)}
      words = [str(value) for value in values]
      if unknown := [word for word in words if word not in known]:
        raise DataError(
          f"{self.name} has no level {unknown[0]!r}; there is "
          f"{', '.join(self.levels)}"
        )
      return np.eye(self.size, dtype=np.float32)[[known[w] for w in words]]
    low, high = self.range
    try:
      numbers = values.astype(np.float64)
    except ValueError:
      raise DataError(
        f"{self.name} is a number from {low:g} to {high:g}; found {values[0]!r}"
      ) from None
    outside = numbers[~((low <= numbers) & (numbers <= high))]
    if outside.size:
      raise DataError(
        f"{self.name} is from {low:g} to {high:g}; found {outside[0]:g}"
      )
    return ((numbers - low) / (high - low)).astype(np.float32)[:, None]

  def ends(self) -> np.ndarray:
    """Return settings [L, size] to ask for: each level, or low and high."""
    if self.levels:
      return np.eye(self.size, dtype=np.float32)
    return np.array([[0.0], [1.0]], np.float32)


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Turns requests in words into condition vectors [N, A]."""

  parts: tuple[Attribute, ...]

  @property
  def attributes(self) -> dict[str, tuple[int, ...]]:
    """Return the entries of a condition vector that each attribute takes."""
    found = {}
    start = 0
    for part in self.parts:
      found[part.name] = tuple(range(start, start + part.size))
      start += part.size
    return found

  @property
  def names(self) -> tuple[str, ...]:
    """Return the name of each entry: "shape=circle", "size"."""
    return tuple(
      name
      for part in self.parts
      for name in [f"{part.name}={x}" for x in part.levels] or [part.name]
    )

  def encode(
    self, values: Mapping[str, npt.ArrayLike] | None = None, **named: Any
  ) -> np.ndarray:
    """Build condition vectors [N, A] from a value of every attribute.

    Args:
      values: attribute → value or [N]; `named` are more of them.

    Raises:
      DataError: if an attribute is missing or unknown, a value is none of its
        own, or lengths differ.
    """
    given = {**(values or {}), **named}
    wanted = [part.name for part in self.parts]
    if wrong := sorted(given.keys() ^ set(wanted)):
      raise DataError(
        f"missing or unknown: {', '.join(wrong)}; the attributes are "
        f"{', '.join(wanted)}"
      )
    columns = [part.encode(given[part.name]) for part in self.parts]
    rows = max((len(column) for column in columns), default=1)
    if any(len(column) not in (1, rows) for column in columns):
      lengths = ", ".join(str(len(column)) for column in columns)
      raise DataError(f"attributes have different lengths: {lengths}")
    none = np.empty((rows, 0), np.float32)
    wide = [np.broadcast_to(c, (rows, c.shape[1])) for c in columns]
    return np.concatenate([none, *wide], axis=1)

  def panel(self) -> np.ndarray:
    """Return [P, A], settings that differ visibly, for sample grids."""
    settings = list(itertools.product(*(part.ends() for part in self.parts)))
    chosen = np.linspace(0, len(settings) - 1, min(_PANEL, len(settings)))
    rows = [settings[round(i)] for i in chosen]
    empty = np.empty(0, np.float32)
    return np.stack([np.concatenate([empty, *row]) for row in rows])

  def ends(self, name: str) -> np.ndarray:
    """Return an attribute's settings [L, K]: its levels, or low and high."""
    return self._part(name).ends()

  def probe(self, name: str, rows: npt.ArrayLike, count: int) -> np.ndarray:
    """Ask for all of one attribute, the others as real rows have them.

    Args:
      name: one of `attributes`.
      rows: condition vectors [N, A] of real rows; the first `count` serve.
      count: see `rows`.

    Returns:
      [levels · count, A]: each level of a class, nine of a number.
    """
    settings = self.ends(name)
    if not self._part(name).levels:
      settings = np.linspace(0, 1, _LEVELS, dtype=np.float32)[:, None]
    rows = np.asarray(rows, np.float32)[:count]
    asked = np.repeat(rows, len(settings), axis=0)
    asked[:, list(self.attributes[name])] = np.tile(settings, (len(rows), 1))
    return asked

  def gauge(self, images: npt.ArrayLike, asked: npt.ArrayLike) -> dict:
    """Measure what needs no judge: nothing."""
    return {}

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    parts = [dataclasses.asdict(part) for part in self.parts]
    return {"parts": [{k: _listed(v) for k, v in p.items()} for p in parts]}

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned."""
    return cls(
      tuple(
        Attribute(part["name"], tuple(part["levels"]), tuple(part["range"]))
        for part in saved["parts"]
      )
    )

  def _part(self, name: str) -> Attribute:
    return next(part for part in self.parts if part.name == name)


def _listed(value: Any) -> Any:
  return list(value) if isinstance(value, tuple) else value


def load(config: Any) -> Dataset:
  """Refuse: arrays come from Python and from no config.

  Raises:
    DataError: always.
  """
  raise DataError(
    "the data of this run were handed in as arrays: hand them in again, "
    "train.train_and_evaluate(config, workdir, dataset=…)"
  )


def make(
  images: npt.ArrayLike,
  conditions: Mapping[str, npt.ArrayLike],
  held_out: float,
  seed: int,
) -> Dataset:
  """Build a Dataset; see data.from_arrays."""
  images = np.asarray(images)
  if images.ndim == 3:
    images = images[..., None]
  if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
    raise DataError(
      "images are uint8 [N, H, W] or [N, H, W, C]; found "
      f"{images.dtype} {images.shape}"
    )
  columns = {name: np.asarray(values) for name, values in conditions.items()}
  for name, values in columns.items():
    if len(values) != len(images):
      raise DataError(f"{name} has {len(values)} rows, images {len(images)}")
  if not 0.0 <= held_out < 1.0:
    raise DataError(f"held_out is from 0 to below 1; found {held_out}")
  order = np.random.default_rng(seed).permutation(len(images))
  train, test = np.split(order, [len(order) - round(held_out * len(order))])
  fitted = Conditions(
    tuple(Attribute.fit(name, v[train]) for name, v in columns.items())
  )
  if len(test):
    test = _inside(fitted, columns, test)
  parts = [_split(images, columns, fitted, rows) for rows in (train, test)]
  return Dataset(parts[0], parts[1] if len(test) else None, fitted, "arrays")


def _inside(fitted: Conditions, columns, rows: np.ndarray) -> np.ndarray:
  """Leave out held-out rows with a level or a number that no training row has.

  Raises:
    DataError: if a class has no training row at all.
  """
  kept = np.ones(len(rows), bool)
  for part in fitted.parts:
    values = columns[part.name][rows]
    if part.levels:
      known = np.isin(values.astype(str), part.levels)
      if not known.all():
        raise DataError(
          f"{part.name}: {values[~known][0]} is in no training row; bring more "
          "rows of it, or another seed"
        )
    else:
      low, high = part.range
      kept &= (low <= values) & (values <= high)
  return rows[kept]


def _split(images, columns, fitted: Conditions, rows: np.ndarray) -> dict:
  asked = {name: values[rows] for name, values in columns.items()}
  condition = fitted.encode(asked)
  if not columns:
    condition = np.empty((len(rows), 0), np.float32)
  return {"image": images[rows], "condition": condition}
