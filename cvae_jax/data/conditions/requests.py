"""Turn requests in words into condition vectors, for all sources alike."""

import fractions
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import STEPS, Attribute
from cvae_jax.data.conditions.layout import Layout
from cvae_jax.data.conditions.words import split_request
from cvae_jax.host.arguments import common_length

PANEL = 10  # settings in a sample grid, at most


class Requests(Layout):
  """Requests in words, as a panel, and to probe attributes."""

  def encode(
    self, values: Mapping[str, Any] | str | None = None, **named: Any
  ) -> NDArray[np.float32]:
    """Build condition vectors [N, A] from requests in words.

    Args:
      values: {attribute: value, or a list or array of N values}, or text as
        `parse` reads it. None is an unknown value. Without known-bits every
        attribute must have a value.
      named: more attributes and values; they replace those in `values`.

    Raises:
      DataError: there is no such attribute or value, an attribute is missing,
        or lengths differ; the error says what can be asked for.
    """
    if isinstance(values, str):
      values = self.parse(values)
    given = {**(values or {}), **named}
    self._check_names(given)
    left = self.left_out(given)
    if left and not self.known_bits:
      raise DataError(
        f"{', '.join(left)}: no value was given, and this model was trained "
        "with all of them known; "
        + "; ".join(self.describe(name) for name in left)
      )
    lists = {n: self.attribute(n).as_list(value) for n, value in given.items()}
    rows = common_length(map(len, lists.values()))
    if rows is None:
      found = ", ".join(f"{len(column)} of {n}" for n, column in lists.items())
      raise DataError(
        f"each attribute has one value or as many as the others; found {found}"
      )
    table = {name: [None] * rows for name in left}
    for name, column in lists.items():
      table[name] = column * rows if len(column) == 1 else column
    return self._encode_lists(table, rows, strict=True)

  def left_out(self, given: Mapping[str, Any]) -> list[str]:
    """Name the attributes that a request does not mention."""
    return [name for name in self.asked if name not in given]

  def encode_table(
    self, columns: Mapping[str, Sequence[Any]]
  ) -> NDArray[np.float32]:
    """Build condition vectors [N, A] from columns of a table, [N] each.

    Numbers may lie outside the range of the training rows.

    Raises:
      DataError: an attribute has no such value, or a value is unknown and must
        not be; the error names the row, counted from 1.
    """
    rows = len(next(iter(columns.values()), ()))
    return self._encode_lists(columns, rows, strict=False)

  def parse(self, text: str) -> dict[str, Any]:
    """Read "shape=triangle,size=0.9" into {attribute: value}.

    Raises:
      DataError: a part is not name=value, a name comes twice, or there is no
        such attribute or value.
    """
    found = {}
    for part in split_request(text, self.attributes):
      if isinstance(part, str):
        raise DataError(f"{part!r} is not name=value; {self.describe()}")
      name, value = part
      self._check_names([name])
      if name in found:
        raise DataError(f"{name!r} comes twice in {text!r}")
      attribute = self.attribute(name)
      if attribute.known(value):
        attribute.encode([value])
      found[name] = value if attribute.known(value) else None
    return found

  def settings(self, name: str, steps: int = STEPS) -> NDArray[np.float32]:
    """Return the entries [L, K] that show an attribute: see its kind."""
    attribute = self.attribute(name)
    return attribute.encode(attribute.settings(steps))

  def likely(self, name: str, steps: int = STEPS) -> list[Any]:
    """Return the values to try when searching for what an image shows."""
    return self.attribute(name).settings(steps)

  def ends(self, name: str) -> NDArray[np.float32]:
    """Return an attribute's entries [2, K] at its low and its high end."""
    return self.attribute(name).ends()

  def draw(self, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return [count, A]: conditions of training rows, drawn at random.

    Without kept rows, each attribute is drawn from its settings.
    """
    rows = self.training_conditions()
    if rows is not None:
      return draw_rows(rows, count, seed)
    generator = make_generator(seed)
    found = self.blank(count)
    for name in self.asked:
      shown = self.settings(name, 101)
      found = self.put(
        found, name, shown[generator.integers(len(shown), size=count)]
      )
    return found

  def training_conditions(self) -> NDArray[np.float32] | None:
    """Return condition vectors [N, A] of training rows, None without any."""
    return None

  def panel(self) -> NDArray[np.float32]:
    """Return [P, A], settings that differ visibly, for sample grids.

    They are spread evenly over all combinations of levels; a number is at its
    low and its high end. P is at most 10.
    """
    shown = [self._panel_entries(attribute) for attribute in self.attributes]
    sizes = [len(entries) for entries in shown]
    every = math.prod(sizes)
    count = min(PANEL, every)  # Python's integers: int64 might overflow
    step = fractions.Fraction(every - 1, max(1, count - 1))
    places = [round(i * step) for i in range(count)]
    found = self.blank(len(places))
    for axis in reversed(range(len(sizes))):
      chosen = [place % sizes[axis] for place in places]
      places = [place // sizes[axis] for place in places]
      found = self.put(found, self.asked[axis], shown[axis][chosen])
    return found

  def probe(
    self, name: str, rows: ArrayLike, count: int
  ) -> NDArray[np.float32]:
    """Ask for all of one attribute, the others as real images have them.

    Args:
      name: an attribute.
      rows: condition vectors [N, A] of real images; the first `count` serve.
      count: see `rows`.

    Returns:
      [settings · count, A]: each level, or nine of a number or an angle.
    """
    shown = self.settings(name)
    rows = np.asarray(rows, np.float32)[:count]
    asked = np.repeat(rows, len(shown), axis=0)
    return self.put(asked, name, np.tile(shown, (len(rows), 1)))

  @property
  def moved(self) -> tuple[str, ...]:
    """Name the attributes that are moved to see what else changes."""
    return self.asked

  def gauge(self, images: ArrayLike, asked: ArrayLike) -> dict[str, NDArray]:
    """Measure what needs no judge, {attribute: [N, K]}: here nothing."""
    return {}

  def _encode_lists(
    self, table, rows: int, strict: bool
  ) -> NDArray[np.float32]:
    """Build condition vectors from lists of equal length."""
    found = self.blank(rows)
    for attribute in self.attributes:
      name = attribute.name
      values = list(table[name])
      known = np.array([attribute.known(value) for value in values], bool)
      if not known.all() and not self.known_bits:
        raise DataError(
          f"{name}: row {int(known.argmin()) + 1} of {rows} has no value, and "
          "all are known here; fill it in, or train with "
          "data.condition_dropout above 0"
        )
      given = [v for v, k in zip(values, known, strict=True) if k]
      try:
        entries = attribute.encode(given, strict)
      except DataError as error:
        raise _find_error(attribute, values, strict) or error from None
      found[known, self.columns(name)] = entries
      if self.known_bits:
        found[:, self.bit(name)] = known
    return found

  def _panel_entries(self, attribute: Attribute) -> NDArray[np.float32]:
    """Return entries [L, K]: all levels, or a number's low and high."""
    if attribute.levels:
      return self.settings(attribute.name)
    return self.ends(attribute.name)


def _find_error(
  attribute: Attribute, values: Sequence[Any], strict: bool
) -> DataError | None:
  """Return the error of the first of several values that is wrong."""
  for row, value in enumerate(values, 1):
    try:
      attribute.encode([value] if attribute.known(value) else [], strict)
    except DataError as error:
      where = f" (row {row} of {len(values)})" if len(values) > 1 else ""
      return DataError(f"{error}{where}")
  return None


def draw_rows(rows: NDArray, count: int, seed: int) -> NDArray:
  """Return `count` of the rows [N, A], drawn at random."""
  return rows[make_generator(seed).integers(len(rows), size=count)]


def make_generator(seed: int) -> np.random.Generator:
  """Return the generator of a seed's draws of conditions.

  Those of latents, which have the seed alone, begin with other random bits.
  """
  return np.random.default_rng((seed, 1))
