"""A number above 0 whose ratios count, such as a dose or a price."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import STEPS, numbers
from cvae_jax.data.conditions.number import Number
from cvae_jax.host import commands


@dataclasses.dataclass(frozen=True)
class Log(Number):
  """A number above 0, told to networks by its logarithm: one entry.

  The logarithms of the numbers in `range` are mapped to `scaled`. So 1 and 10
  are as far apart as 10 and 100.
  """

  kind: ClassVar[str] = "log"
  between: ClassVar[str] = "their logarithms"

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Take the range from the entry, or from training values.

    Raises:
      DataError: the range or a value is not above 0.
    """
    check_above_0(entry["name"], numbers(entry["name"], values))
    check_above_0(entry["name"], entry.get("range", ()))
    return super().fit(entry, values)

  def settings(self, steps: int = STEPS) -> list[float]:
    """Return `steps` numbers from low to high, by equal factors."""
    return np.geomspace(*self.range, steps).tolist()

  def to_scale(self, values: ArrayLike) -> NDArray[np.float64]:
    """Return the natural logarithms of numbers above 0."""
    check_above_0(self.name, values)
    return np.log(values)

  def from_scale(self, measures: ArrayLike) -> NDArray[np.float64]:
    """Return the numbers of natural logarithms."""
    return np.exp(measures)


def check_above_0(name: str, values: ArrayLike) -> None:
  """Check that numbers have a logarithm.

  Raises:
    DataError: one is 0 or below.
  """
  values = np.asarray(values, np.float64)
  if (bad := values[values <= 0]).size:
    raise DataError(
      f"{name} is of kind log and so above 0; found {bad[0]:g}: correct it, "
      f"or choose {commands.format_kind(name, 'number')}"
    )
