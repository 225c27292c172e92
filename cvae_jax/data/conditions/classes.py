"""A class: one of several named levels, one-hot."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data.conditions.attribute import Attribute, fit_levels


class Leveled(Attribute):
  """An attribute with an entry of its own for each of its K levels."""

  verb: ClassVar[str] = "is"  # between its name and a level

  @property
  def size(self) -> int:
    """Return K, the number of levels."""
    return len(self.levels)

  @property
  def parts(self) -> tuple[str, ...]:
    """Name the K entries: "shape=circle"."""
    return tuple(f"{self.name}={level}" for level in self.levels)

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what each entry holds: "1 if shape is circle, else 0"."""
    return tuple(
      f"1 if {self.name} {self.verb} {level}, else 0" for level in self.levels
    )


class Class(Leveled):
  """One of K levels without an order: entries 0 and one 1."""

  kind: ClassVar[str] = "class"
  head: ClassVar[str] = "softmax"
  figure: ClassVar[str] = "hit_rate"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the levels from the entry, or from training values."""
    return cls(entry["name"], fit_levels(entry, values))

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return one-hot rows [N, K] of levels."""
    return np.eye(self.size, dtype=np.float32)[self.ranks(values)]

  def decode(self, vectors: NDArray) -> list[str]:
    """Return the level of each row's greatest entry."""
    return [self.levels[i] for i in np.argmax(vectors, axis=-1)]
