"""What a face can be asked for: named values, their vectors, their limits."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError

_LEVELS = 9  # of a value that is asked for from low to high
_QUANTILES = (0.05, 0.5, 0.95)
_PANEL = ("male", "mouth", "eyes")  # what a panel varies, slowest first


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Maps named values to condition vectors [A], in the order of `names`.

  `ranges` has (low, high) of each name: what may be asked for. `quantiles`
  has (5 %, 50 %, 95 %) over the training rows: what has been seen. `rows` and
  `sha256`, the training rows' number and identity, are stored with the run, so
  that it is not continued on others; 0 and "" where they are unknown.
  """

  names: tuple[str, ...]
  ranges: tuple[tuple[float, float], ...]
  quantiles: tuple[tuple[float, float, float], ...]
  rows: int = 0
  sha256: str = ""

  def __post_init__(self):
    check_names(self.names, self.ranges)

  @classmethod
  def fit(
    cls,
    vectors: npt.ArrayLike,
    names: tuple[str, ...],
    ranges: tuple[tuple[float, float], ...],
    sha256: str = "",
  ) -> Self:
    """Take the number and the quantiles of training vectors [N, A]."""
    found = np.quantile(np.asarray(vectors, np.float64), _QUANTILES, axis=0)
    quantiles = tuple(map(tuple, found.T.tolist()))
    return cls(names, ranges, quantiles, len(vectors), sha256)

  @property
  def size(self) -> int:
    """Return A, the length of a condition vector."""
    return len(self.names)

  @property
  def attributes(self) -> dict[str, tuple[int, ...]]:
    """Return what can be asked for: name → entries of a condition vector.

    Male and female together are the two classes of gender.
    """
    pair = [n for n in ("male", "female") if n in self.names]
    found = {n: (i,) for i, n in enumerate(self.names)}
    if len(pair) < 2:
      return found
    gender = tuple(self.names.index(n) for n in pair)
    return {"gender": gender} | {
      n: c for n, c in found.items() if n not in pair
    }

  def ends(self, name: str) -> npt.NDArray[np.float32]:
    """Return an attribute's low and high values [2, K] of its K entries.

    Those that it was seen at; of gender female, then male.
    """
    columns = self.attributes[name]
    if len(columns) > 1:
      return np.array([(0, 1), (1, 0)], np.float32)
    return np.array(self._seen(name), np.float32)[:, None]

  def probe(
    self, name: str, rows: npt.ArrayLike, count: int
  ) -> npt.NDArray[np.float32]:
    """Ask for all of one attribute, the others as real images have them.

    Args:
      name: one of `attributes`; from its low to its high end in 9 levels, 2
        of gender.
      rows: condition vectors [N, A] of real images; the first `count` serve.
      count: see `rows`.

    Returns:
      [levels · count, A].
    """
    low, high = self.ends(name)
    levels = 2 if len(low) > 1 else _LEVELS
    t = np.linspace(0, 1, levels, dtype=np.float32)[:, None]
    rows = np.asarray(rows, np.float32)[:count]
    asked = np.repeat(rows, levels, axis=0)
    values = (1 - t) * low + t * high
    asked[:, list(self.attributes[name])] = np.tile(values, (len(rows), 1))
    return asked

  def gauge(self, images: npt.ArrayLike, asked: npt.ArrayLike) -> dict:
    """Measure what needs no judge: of faces, nothing."""
    return {}

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
    *columns, rows = np.broadcast_arrays(*columns, np.empty(1))
    none = np.empty((len(rows), 0))  # so that no names give [1, 0]
    return np.column_stack([none, *columns]).astype(np.float32)

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [P, A], settings that differ visibly, for sample grids.

    Male and female (slowest), mouth closed and open, eyes narrow and wide,
    as far as they were seen; all others at the median.
    Other names take the place of those that there are not; P is 8, or less
    where there are fewer than 3 names, 1 without any.
    """
    middle = {n: q[1] for n, q in zip(self.names, self.quantiles, strict=True)}
    varied = [n for n in _PANEL if n in self.names]
    varied += [n for n in self.names if n not in (*varied, "female")]
    ends = [
      self._range("male")[::-1] if name == "male" else self._seen(name)
      for name in varied[:3]
    ]
    rows = np.array(list(itertools.product(*ends)))
    chosen = middle | dict(zip(varied[:3], rows.T, strict=True))
    if "male" in chosen:
      chosen.pop("female", None)  # so that it follows male
    return self.encode(chosen)

  def _seen(self, name: str) -> tuple[float, float]:
    """Return the 5 % and the 95 % quantile of training.

    Where they are one value, as of an attribute that few have, its range.
    """
    low, _, high = self.quantiles[self.names.index(name)]
    return (low, high) if low < high else self._range(name)

  def _range(self, name: str) -> tuple[float, float]:
    return self.ranges[self.names.index(name)]

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return {
      "names": [*self.names],
      "ranges": [[*r] for r in self.ranges],
      "quantiles": [[*q] for q in self.quantiles],
      "rows": self.rows,
      "sha256": self.sha256,
    }

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned; older runs did not know their rows."""
    pairs = (tuple(map(tuple, saved[k])) for k in ("ranges", "quantiles"))
    known = {key: saved[key] for key in ("rows", "sha256") if key in saved}
    return cls(tuple(saved["names"]), *pairs, **known)


def check_names(names: tuple[str, ...], ranges: tuple) -> None:
  """Check that names differ and that each has a range.

  Raises:
    DataError: if not.
  """
  if len(set(names)) < len(names):
    raise DataError(f"names differ from each other; found {names}")
  if len(ranges) != len(names):
    raise DataError(f"{len(names)} names {names} but {len(ranges)} ranges")
  for name, (low, high) in zip(names, ranges, strict=True):
    if not low < high:
      raise DataError(f"range of {name}: {low:g} is not below {high:g}")
