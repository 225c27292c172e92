"""The place of each attribute in a condition vector."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import Attribute


class Layout:
  """The entries of all attributes in turn, then their known-bits, if any."""

  attributes: tuple[Attribute, ...]
  known_bits: bool = False

  @property
  def asked(self) -> tuple[str, ...]:
    """Return the attributes' names."""
    return tuple(attribute.name for attribute in self.attributes)

  @property
  def entries(self) -> int:
    """Return the number of entries without the known-bits."""
    return sum(attribute.size for attribute in self.attributes)

  @property
  def size(self) -> int:
    """Return A, the length of a condition vector."""
    bits = len(self.attributes) if self.known_bits else 0
    return self.entries + bits

  @functools.cached_property
  def names(self) -> tuple[str, ...]:
    """Name each entry of a condition vector."""
    found = [part for a in self.attributes for part in a.parts]
    bits = [f"{name} known" for name in self.asked if self.known_bits]
    return (*found, *bits)

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what each entry of a condition vector holds."""
    found = [text for a in self.attributes for text in a.meanings]
    bits = [
      f"1 if {name} is known; if 0, its other entries are 0"
      for name in self.asked
      if self.known_bits
    ]
    return (*found, *bits)

  def attribute(self, name: str) -> Attribute:
    """Return an attribute by its name.

    Raises:
      DataError: there is none.
    """
    self._check_names([name])
    return self.attributes[self.asked.index(name)]

  def columns(self, name: str) -> slice:
    """Return the entries of a condition vector that an attribute takes."""
    end = 0
    for attribute in self.attributes:
      start = end
      end += attribute.size
      if attribute.name == name:
        return slice(start, end)
    raise self._no_attribute(name)

  def entry_numbers(self, name: str) -> tuple[int, ...]:
    """Return the indices of an attribute's entries."""
    places = np.arange(self.size)[self.columns(name)]
    return tuple(places.tolist())

  def bit(self, name: str) -> int | None:
    """Return the place of an attribute's known-bit, None where there is none.

    Raises:
      DataError: there is no such attribute.
    """
    self._check_names([name])
    if not self.known_bits:
      return None
    return self.entries + self.asked.index(name)

  def known(self, vectors: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Tell in which of condition vectors [N, A] an attribute is known."""
    bit = self.bit(name)
    vectors = np.asarray(vectors)
    if bit is None:
      return np.ones(len(vectors), bool)
    return vectors[:, bit] > 0.5

  def decode(self, vectors: ArrayLike) -> list[dict[str, Any]]:
    """Return {attribute: value} of each of condition vectors [N, A]."""
    vectors = np.asarray(vectors)
    found = [{} for _ in vectors]
    for name in self.asked:
      values = self.attribute(name).decode(vectors[:, self.columns(name)])
      known = self.known(vectors, name)
      for row, value, is_known in zip(found, values, known, strict=True):
        row[name] = value if is_known else None
    return found

  def describe(self, name: str | None = None) -> str:
    """Say what can be asked for, of one attribute or of each."""
    if name is not None:
      return f"{name} is {self.attribute(name).choices()}"
    return "; ".join(map(self.describe, self.asked)) or "nothing can be asked"

  def caption(self, vector: ArrayLike) -> str:
    """Say a condition vector [A] in words, an attribute a line."""
    values = self.decode(np.asarray(vector)[None])[0]
    return "\n".join(
      f"{name} ?" if value is None else self.attribute(name).text(value)
      for name, value in values.items()
    )

  def put(
    self, vectors: ArrayLike, name: str, entries: ArrayLike | None
  ) -> NDArray[np.float32]:
    """Return condition vectors [N, A] with one attribute replaced.

    Args:
      vectors: [N, A].
      name: the attribute.
      entries: [K] or [N, K]; None makes it unknown.
    """
    found = np.array(vectors, np.float32)
    found[:, self.columns(name)] = 0.0 if entries is None else entries
    if self.known_bits:
      found[:, self.bit(name)] = 0.0 if entries is None else 1.0
    return found

  def fill(
    self, vectors: ArrayLike, values: Mapping[str, Any]
  ) -> NDArray[np.float32]:
    """Return condition vectors [N, A] with some attributes replaced.

    Args:
      vectors: [N, A]; one row serves all of several values.
      values: {attribute: value, or a list of N}.

    Raises:
      DataError: a name or a value is unknown, or there are values for another
        number of rows.
    """
    found = np.array(vectors, np.float32)
    for name, value in values.items():
      attribute = self.attribute(name)
      column = attribute.as_list(value)
      if len(found) == 1:
        found = np.repeat(found, len(column), axis=0)
      if len(column) not in (1, len(found)):
        raise DataError(
          f"{name} has {len(column)} values for {len(found)} rows; give one "
          "value or one for each"
        )
      known = [attribute.known(value) for value in column]
      if not all(known):
        if not self.known_bits:
          raise DataError(
            f"{name} needs a value, as all are known here: "
            f"{attribute.choices()}"
          )
        if any(known):
          raise DataError(f"{name}: some values are unknown and some are not")
        found = self.put(found, name, None)
        continue
      found = self.put(found, name, attribute.encode(column))
    return found

  def blank(self, count: int) -> NDArray[np.float32]:
    """Return [count, A] zeros: nothing asked for."""
    return np.zeros((count, self.size), np.float32)

  def _check_names(self, names: Iterable[str]) -> None:
    for name in names:
      if name not in self.asked:
        raise self._no_attribute(name)

  def _no_attribute(self, name: str) -> DataError:
    return DataError(f"no attribute {name!r}; {self.describe()}")


def align(columns: Mapping[str, NDArray]) -> list[NDArray]:
  """Return columns [N] of equal length; a single number serves all rows.

  Raises:
    DataError: a column has more than one axis, or lengths differ.
  """
  shapes = {column.shape for column in columns.values()} - {()}
  if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
    found = ", ".join(f"{name} {x.shape}" for name, x in columns.items())
    raise DataError(
      f"each value is one number or [N], with the same N; found {found}"
    )
  return list(np.broadcast_arrays(*map(np.atleast_1d, columns.values())))
