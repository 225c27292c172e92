"""Several of K labels at once."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import (
  blank,
  fit_levels,
  format_level,
)
from cvae_jax.data.conditions.classes import Leveled

SEPARATOR = ";"
NONE = "none"  # as a request: no label


class MultiLabel(Leveled):
  """A set of labels: K entries, each 0 or 1.

  A value is text, "beach;night", or a set of words. Text without a label, ""
  or "none", is the empty set; None and NaN are unknown.
  """

  verb: ClassVar[str] = "has"
  kind: ClassVar[str] = "multilabel"
  head: ClassVar[str] = "sigmoid"
  figure: ClassVar[str] = "mean_average_precision"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the labels from the entry, or from training values."""
    found = [label for value in values for label in labels(value)]
    levels = fit_levels(entry, found, least=1)
    every = set(levels)
    if all(set(labels(value)) == every for value in values):
      raise DataError(
        f"{entry['name']}: all training rows have all labels, so there is "
        "nothing to condition on; leave it out"
      )
    return cls(entry["name"], levels)

  def known(self, value: Any) -> bool:
    """Tell whether a value is known; "" is known and means no label."""
    return isinstance(value, str) or not blank(value)

  def as_list(self, value: Any) -> list[Any]:
    """Return the values of N rows as a list; a tuple is one value."""
    return [value] if isinstance(value, tuple) else super().as_list(value)

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return 0 or 1 for each label, [N, K]."""
    found = np.zeros((len(values), self.size), np.float32)
    for row, value in zip(found, values, strict=True):
      row[self.ranks(labels(value))] = 1
    return found

  def decode(self, vectors: NDArray) -> list[str]:
    """Return the labels that are 0.5 or more, joined by ";"."""
    return [
      SEPARATOR.join(
        level for level, x in zip(self.levels, row, strict=True) if x >= 0.5
      )
      for row in np.asarray(vectors)
    ]

  def settings(self, steps: int = 0) -> list[str]:
    """Return no label, then each label alone."""
    return ["", *self.levels]

  def ends(self) -> NDArray[np.float32]:
    """Return entries [2, K]: no label and all."""
    return np.stack([np.zeros(self.size), np.ones(self.size)]).astype(
      np.float32
    )

  def text(self, value: Any) -> str:
    """Say a value in a caption."""
    return f"{self.name} {' '.join(labels(value)) or NONE}"

  def choices(self) -> str:
    """Say what can be asked for."""
    return f"{', '.join(self.levels)} (several joined by {SEPARATOR!r})"


def labels(value: Any) -> list[str]:
  """Return the labels that a value names, each once."""
  if isinstance(value, set | frozenset | tuple | list):
    parts = [format_level(part) for part in value]
  elif isinstance(value, str):
    parts = [part.strip() for part in value.split(SEPARATOR)]
  else:
    parts = [format_level(value)]
  found = [part for part in dict.fromkeys(parts) if part]
  return [] if [part.lower() for part in found] == [NONE] else found
