"""An ordinal: one of several levels that have an order."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import Attribute, fit_levels


class Ordinal(Attribute):
  """Ranked levels: K − 1 entries, of which the k-th is 1 above rank k.

  So neighbours differ in one entry, and no distances of ranks are assumed.
  """

  kind: ClassVar[str] = "ordinal"
  head: ClassVar[str] = "sigmoid"
  figure: ClassVar[str] = "rank_correlation"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the levels, in rank order, from the entry, or numbers' own order.

    Raises:
      DataError: the order of words is not stated.
    """
    name = entry["name"]
    words = [v for v in values if not _is_number(v)]
    if words and not entry.get("levels"):
      raise DataError(
        f"{name}: an ordinal of words needs their order, as in "
        f"ordinal:low<mid<high; found {words[0]!r}"
      )
    return cls(name, fit_levels(entry, values))

  @property
  def size(self) -> int:
    """Return the number of levels less 1."""
    return len(self.levels) - 1

  @property
  def parts(self) -> tuple[str, ...]:
    """Name the entries: "grade>low"."""
    return tuple(f"{self.name}>{level}" for level in self.levels[:-1])

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what each entry holds: "1 if grade is above low, else 0"."""
    return tuple(
      f"1 if {self.name} is above {level}, else 0" for level in self.levels[:-1]
    )

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return 1 for each rank that a level is above, [N, K − 1]."""
    ranks = np.array(self.ranks(values), int)[:, None]
    return (ranks > np.arange(self.size)).astype(np.float32)

  def decode(self, vectors: NDArray) -> list[str]:
    """Return the level whose rank is the number of entries from 0.5 on."""
    ranks = (np.asarray(vectors) >= 0.5).sum(axis=-1)
    return [self.levels[i] for i in ranks]

  def choices(self) -> str:
    """Say what can be asked for, in rank order."""
    return " < ".join(self.levels)


def _is_number(value: Any) -> bool:
  try:
    float(value)
  except (TypeError, ValueError):
    return False
  return True
