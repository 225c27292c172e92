"""A number: a range that is scaled, or units of training's deviation."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions import captions
from cvae_jax.data.conditions.attribute import (
  STEPS,
  Attribute,
  check_distinct,
  numbers,
)


@dataclasses.dataclass(frozen=True)
class Number(Attribute):
  """A number from low to high: one entry.

  A request may ask for the numbers in `range`, which are mapped to `scaled`. If
  the two are equal, a number is its own entry. If `mean` and `std` are given,
  one for each level of a class, requests are in units of them: `standardise`
  turns a measured number into such a unit, and `unit` describes it.
  """

  range: tuple[float, float] = (0.0, 1.0)
  scaled: tuple[float, float] = (-1.0, 1.0)
  unit: str = ""
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()

  kind: ClassVar[str] = "number"
  head: ClassVar[str] = "linear"
  figure: ClassVar[str] = "r_squared"
  between: ClassVar[str] = "them"  # what a straight line leads from and to

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the range from the entry, or from training values."""
    name = entry["name"]
    check_distinct(name, values)
    found = numbers(name, values)
    low, high = entry.get("range") or (found.min(), found.max())
    if not low < high:
      raise DataError(
        f"{name}: the range's low is below its high; found {low:g}, {high:g}"
      )
    if outside := [x for x in found if not low <= x <= high]:
      raise DataError(
        f"{name}: a training row has {outside[0]:g}, outside the range "
        f"{low:g} to {high:g} of schema.json; widen it or correct the table"
      )
    scaled = tuple(entry.get("scaled", (-1.0, 1.0)))
    return cls(name, range=(float(low), float(high)), scaled=scaled)

  @property
  def size(self) -> int:
    """Return 1."""
    return 1

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what the entry holds: its range, and how that is scaled."""
    said = self.choices()
    if self.range != self.scaled:
      ends = zip(self.scaled, self.range, strict=True)
      low, high = (f"{entry:g} is {number:g}" for entry, number in ends)
      said = f"{low}, {high}, and in a straight line between {self.between}"
    return (f"{said}; {self.unit}" if self.unit else said,)

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return numbers brought from `range` to `scaled`, [N, 1]."""
    given = numbers(self.name, values)
    found = self.to_scale(given)
    low, high = ends = self.to_scale(self.range).tolist()
    rounding = 1e-9 * (high - low)  # what `decode` returns may be beside it
    near = np.clip(found, low, high)
    found = np.where(np.abs(found - near) <= rounding, near, found)
    outside = given[~((low <= found) & (found <= high))]
    if strict and outside.size:
      raise DataError(
        f"{self.name} is from {self.choices()}; found {outside[0]:g}"
      )
    return self._rescale(found, tuple(ends), self.scaled).astype(np.float32)

  def decode(self, vectors: NDArray) -> list[float]:
    """Return the numbers of entries [N, 1]."""
    return self.from_scale(self.measures(vectors)).tolist()

  def measures(self, vectors: NDArray) -> NDArray[np.float64]:
    """Return what `to_scale` gives of the numbers of entries [N, 1]."""
    entries = np.asarray(vectors, np.float64)[:, 0]
    ends = tuple(self.to_scale(self.range).tolist())
    return self._rescale(entries, self.scaled, ends)[:, 0]

  def to_scale(self, values: ArrayLike) -> NDArray[np.float64]:
    """Return what is scaled in a straight line: the numbers themselves."""
    return np.asarray(values, np.float64)

  def from_scale(self, measures: ArrayLike) -> NDArray[np.float64]:
    """Return the numbers of what `to_scale` returned."""
    return np.asarray(measures, np.float64)

  def settings(self, steps: int = STEPS) -> list[float]:
    """Return `steps` numbers from low to high."""
    return np.linspace(*self.range, steps).tolist()

  def text(self, value: Any) -> str:
    """Say a value in a caption."""
    return f"{self.name} {captions.show(float(value))}"

  def choices(self) -> str:
    """Say what can be asked for."""
    low, high = self.range
    return f"{low:g} to {high:g}"

  def entry(self) -> dict[str, Any]:
    """Return its entry of schema.json."""
    found = super().entry() | {"range": list(self.range)}
    if self.scaled != (-1.0, 1.0):
      found["scaled"] = list(self.scaled)
    return found

  @classmethod
  def from_entry(cls, entry: Mapping[str, Any]) -> Self:
    """Restore what `entry` returned."""
    scaled = tuple(entry.get("scaled", (-1.0, 1.0)))
    return cls(entry["name"], range=tuple(entry["range"]), scaled=scaled)

  def standardise(
    self, measured: ArrayLike, level: ArrayLike
  ) -> NDArray[np.float64]:
    """Return ½ (measured − mean) / std [N], by each number's level.

    The result is clipped to `range`.

    Args:
      measured: numbers [N].
      level: the levels' numbers [N], or one for all.
    """
    mean = np.array(self.mean)[level]
    std = np.array(self.std)[level]
    return np.clip(0.5 * (np.asarray(measured) - mean) / std, *self.range)

  def _rescale(self, values: NDArray, source, target) -> NDArray:
    """Bring numbers [N] from one range to another, [N, 1]."""
    if source == target:
      return values[:, None]
    (a, b), (low, high) = source, target
    return (low + (values - a) * ((high - low) / (b - a)))[:, None]
