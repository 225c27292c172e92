"""The base of all kinds of attributes."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.host.wording import compose, shorten

STEPS = 9  # settings of a number that is moved from low to high


@dataclasses.dataclass(frozen=True)
class Attribute:
  """One thing that can be asked for. Each kind is a subclass of its own file.

  A kind defines how its values become entries of a condition vector and back,
  and which settings show it. `head` is how a judge learns it, and `figure` how
  control of it is scored. `levels` are its words; a number and an angle have
  none.
  """

  name: str
  levels: tuple[str, ...] = ()

  kind: ClassVar[str] = ""  # its name in schema.json
  head: ClassVar[str] = ""  # of a judge: softmax, sigmoid, linear or circular
  figure: ClassVar[str] = ""  # the figure of merit; see cvae_jax.metrics.merits

  @classmethod
  def fit(cls, entry: Mapping[str, Any], values: Sequence[Any]) -> Self:
    """Build the attribute of a schema's entry.

    Args:
      entry: name and kind. It may also have levels, a range or a period, which
        are otherwise taken from the values.
      values: the known values of the training rows.

    Raises:
      DataError: the values are not of this kind, or all alike.
    """
    raise NotImplementedError

  @property
  def size(self) -> int:
    """Return K, the number of entries in a condition vector."""
    raise NotImplementedError

  @property
  def parts(self) -> tuple[str, ...]:
    """Name the K entries."""
    if self.size == 1:
      return (self.name,)
    return tuple(f"{self.name} {k}" for k in range(self.size))

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say in words what each of the K entries holds; "" is not said."""
    return ("",) * self.size

  def known(self, value: Any) -> bool:
    """Tell whether a value is known: None, "" and NaN are not."""
    return not blank(value)

  def as_list(self, value: Any) -> list[Any]:
    """Return what was given for N rows as a list; one value is alone.

    Raises:
      DataError: it is an array of more than one axis.
    """
    if isinstance(value, str | set | frozenset) or value is None:
      return [value]
    if isinstance(value, list | tuple | range):
      return list(value)
    if (found := np.asarray(value)).ndim > 1:
      raise DataError(
        f"{self.name} has one value a row, [N]; found shape {found.shape}"
      )
    return found.reshape(-1).tolist()

  def encode(self, values: Sequence[Any], strict: bool = True) -> NDArray:
    """Return the entries [N, K], float32, of N known values.

    Args:
      values: as people write them: words, or numbers.
      strict: whether to refuse numbers outside the range. A request must lie
        inside it; held-out rows of a table need not.

    Raises:
      DataError: this attribute has no such value; the error says which it has.
    """
    raise NotImplementedError

  def decode(self, vectors: NDArray) -> list[Any]:
    """Return the values of entries [N, K]; `encode` of them is the same."""
    raise NotImplementedError

  def measures(self, vectors: NDArray) -> NDArray:
    """Return what a figure of numbers compares, [N], of entries [N, K]."""
    return np.array(self.decode(vectors))

  def settings(self, steps: int = STEPS) -> list[Any]:
    """Return the values that show it: all levels, or `steps` of a number."""
    return list(self.levels)

  def ends(self) -> NDArray[np.float32]:
    """Return the entries [2, K] at its low and its high end."""
    shown = self.settings()
    return self.encode([shown[0], shown[-1]])

  def text(self, value: Any) -> str:
    """Say a value in a caption."""
    return f"{self.name} {value}"

  def choices(self) -> str:
    """Say what can be asked for."""
    return ", ".join(self.levels)

  def entry(self) -> dict[str, Any]:
    """Return its entry of schema.json."""
    found = {"name": self.name, "kind": self.kind}
    return found | ({"levels": list(self.levels)} if self.levels else {})

  @classmethod
  def from_entry(cls, entry: Mapping[str, Any]) -> Self:
    """Restore what `entry` returned."""
    return cls(entry["name"], tuple(entry.get("levels", ())))

  def ranks(self, values: Sequence[Any]) -> list[int]:
    """Return the numbers of words among the levels.

    Raises:
      DataError: a word is none of the levels.
    """
    numbers = {compose(level): i for i, level in enumerate(self.levels)}
    numbers |= {level: i for i, level in enumerate(self.levels)}
    words = [format_level(value) for value in values]
    found = [numbers.get(w, numbers.get(compose(w), -1)) for w in words]
    if -1 in found:
      raise self.unknown_level_error(values[found.index(-1)])
    return found

  def unknown_level_error(self, value: Any) -> DataError:
    """Return the error of a value that this attribute does not have."""
    near = difflib.get_close_matches(format_level(value), self.levels, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return DataError(
      f"{self.name} has no level {format_level(value)!r}; there is "
      f"{self.choices()}{hint}"
    )


def blank(value: Any) -> bool:
  """Tell whether a value is missing: None, NaN, pandas' NA or no text."""
  if value is None or value is pd.NA or value is pd.NaT:
    return True
  if isinstance(value, str):
    return not value.strip()
  return isinstance(value, float | np.floating) and bool(np.isnan(value))


def format_level(value: Any) -> str:
  """Return a value in the form of a level: 3, 3.0 and "3" become "3"."""
  if isinstance(value, float | np.floating) and float(value).is_integer():
    return str(int(value))
  return str(value).strip()


def numbers(name: str, values: Sequence[Any]) -> NDArray[np.float64]:
  """Return values as finite numbers [N].

  Raises:
    DataError: one is no number, or not finite.
  """
  found = np.empty(len(values))
  for i, value in enumerate(values):
    try:
      found[i] = float(value)
    except (TypeError, ValueError):
      found[i] = np.nan
    if not np.isfinite(found[i]):
      raise DataError(f"{name} is a number; found {value!r}")
  return found


def check_distinct(name: str, values: Sequence[Any]) -> None:
  """Check that values differ.

  Raises:
    DataError: there is none, or all are alike.
  """
  if not len(values):
    raise DataError(f"{name}: no training row has a value; leave it out")
  if len({format_level(value) for value in values}) < 2:
    raise DataError(
      f"{name}: all training rows have the value {format_level(values[0])}, so "
      "there is nothing to condition on; leave it out"
    )


def fit_levels(
  entry: Mapping[str, Any], values: Sequence[Any], least: int = 2
) -> tuple[str, ...]:
  """Return an entry's levels, or those of the values in natural order.

  Raises:
    DataError: a stated level has no training row, a value has no level, or
      there are fewer than `least`.
  """
  name = entry["name"]
  found = {format_level(value) for value in values}
  levels = tuple(map(str, entry.get("levels", ()))) or sort_naturally(found)
  if len(levels) < least:
    check_distinct(name, values)
    raise DataError(f"{name} needs {least} levels; found {', '.join(levels)}")
  if len(set(levels)) < len(levels):
    raise DataError(f"{name}: a level comes twice in {', '.join(levels)}")
  if absent := [level for level in levels if level not in found]:
    raise DataError(
      f"{name}: {shorten(absent, 8)} is in no training row, so it cannot be "
      "learnt; bring rows of it, or take the level out of schema.json"
    )
  if extra := sort_naturally(found - set(levels)):
    raise DataError(
      f"{name}: {shorten(extra, 8)} is none of its levels, "
      f"{', '.join(levels)}; add it in schema.json, or correct the table"
    )
  return levels


def sort_naturally(words: set[str]) -> tuple[str, ...]:
  """Sort words: by value where all are numbers, else as text."""
  try:
    return tuple(sorted(words, key=float))
  except ValueError:
    return tuple(sorted(words))
