"""An angle: a number with a period."""

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


def infer_period(name: str, values: ArrayLike) -> float:
  """Return 2π for angles in radians, which lie within one turn, else 360.

  Raises:
    DataError: all values are within 1: they may be radians, degrees or turns.
  """
  largest = np.nanmax(np.abs(np.asarray(values, np.float64)))
  if largest <= 1.0:
    raise DataError(
      f"{name} is an angle of numbers up to {largest:g}, which may be turns, "
      f"radians or degrees; say its period: {name}=angle:1 for turns, "
      f"{name}=angle:6.2831853 for radians, {name}=angle:360 for degrees"
    )
  return round(2 * np.pi, 9) if largest <= 2 * np.pi + 1e-3 else 360.0


@dataclasses.dataclass(frozen=True)
class Angle(Attribute):
  """A number with a period: numbers that differ by `period` are equal.

  It has two entries, cosine and sine.
  """

  period: float = 360.0

  kind: ClassVar[str] = "angle"
  head: ClassVar[str] = "circular"
  figure: ClassVar[str] = "circular_error"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the period from the entry, or infer it where there is none."""
    check_distinct(entry["name"], values)
    found = numbers(entry["name"], values)
    period = float(
      entry["period"]
      if "period" in entry
      else infer_period(entry["name"], found)
    )
    if not 0 < period < np.inf:
      raise DataError(
        f"{entry['name']}: the period is above 0; found {period:g}"
      )
    return cls(entry["name"], period=period)

  @property
  def size(self) -> int:
    """Return 2."""
    return 2

  @property
  def parts(self) -> tuple[str, ...]:
    """Name the entries."""
    return f"cos {self.name}", f"sin {self.name}"

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what each entry holds: a formula, in radians."""
    turn = f"2π · {self.name} / {self.period:g}"
    return f"cos({turn})", f"sin({turn})"

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return cosine and sine, [N, 2]; any number is an angle."""
    turn = numbers(self.name, values) * (2 * np.pi / self.period)
    return np.stack([np.cos(turn), np.sin(turn)], axis=-1).astype(np.float32)

  def decode(self, vectors: NDArray) -> list[float]:
    """Return the angles from 0 to below `period`."""
    cosine, sine = np.asarray(vectors, np.float64).T
    share = np.arctan2(sine, cosine) / (2 * np.pi) % 1.0
    return (share % 1.0 * self.period).tolist()

  def settings(self, steps: int = STEPS) -> list[float]:
    """Return `steps` angles of one turn, without the first one at the end."""
    return np.linspace(0, self.period, steps, endpoint=False).tolist()

  def ends(self) -> NDArray[np.float32]:
    """Return the entries [2, 2] of no turn and half a turn."""
    return self.encode([0.0, self.period / 2])

  def text(self, value: Any) -> str:
    """Say a value in a caption."""
    return f"{self.name} {captions.show(float(value))}"

  def choices(self) -> str:
    """Say what can be asked for."""
    return f"any number; {self.period:g} is a full turn"

  def entry(self) -> dict[str, Any]:
    """Return its entry of schema.json."""
    return super().entry() | {"period": self.period}

  @classmethod
  def from_entry(cls, entry: Mapping[str, Any]) -> Self:
    """Restore what `entry` returned."""
    return cls(entry["name"], period=float(entry["period"]))
