"""A binary attribute: no or yes, 0 or 1."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import (
  Attribute,
  fit_levels,
  format_level,
)

NO = ("no", "false", "n", "f", "off", "0", "-1")
YES = ("yes", "true", "y", "t", "on", "1")


class Binary(Attribute):
  """A yes or a no: one entry, 0 or 1.

  `levels` are its two words; the second one means yes. The words 0, 1, no, yes,
  false and true are understood, too.
  """

  kind: ClassVar[str] = "binary"
  head: ClassVar[str] = "sigmoid"
  figure: ClassVar[str] = "hit_rate"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the two words from the entry, or from training values."""
    found = sorted({format_level(value) for value in values}, key=_rank)
    stated = {} if "levels" in entry else {"levels": found}
    levels = fit_levels({**entry, **stated}, values)
    if len(levels) != 2:
      raise DataError(
        f"{entry['name']} is binary, so it has two values; found "
        f"{', '.join(levels)}"
      )
    return cls(entry["name"], levels)

  @property
  def size(self) -> int:
    """Return 1."""
    return 1

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what the entry holds."""
    return ("0 is {}, 1 is {}".format(*self.levels),)

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return 0 or 1, [N, 1]."""
    plain = [self._level(value) for value in values]
    return np.array(self.ranks(plain), np.float32)[:, None]

  def decode(self, vectors: NDArray) -> list[str]:
    """Return its words: the second from 0.5 on."""
    return [self.levels[int(x >= 0.5)] for x in np.asarray(vectors)[:, 0]]

  def _level(self, value: Any) -> str:
    """Return the level that a word of the same meaning stands for."""
    said = format_level(value)
    if said in self.levels:
      return said
    for level, words in zip(self.levels, (NO, YES), strict=True):
      if said.lower() in words:
        return level
    return said


def _rank(level: str) -> tuple[bool, str]:
  """Sort what means yes behind all others."""
  return level.lower() in YES, level
