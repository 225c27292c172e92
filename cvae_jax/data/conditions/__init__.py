"""What images are conditioned on: named attributes of six kinds.

    conditions = Conditions.fit(
      [{"name": "shape", "kind": "class"}, {"name": "size", "kind": "number"}],
      {"shape": ["circle", "square", "circle"], "size": [0.2, 0.9, 0.4]},
    )
    conditions.encode(shape="square", size=0.3)  # [1, 3]

A condition vector [A] holds the entries of each attribute in turn. With
`known_bits` a value may be unknown. Its entries are then 0, and the vector ends
with a bit for each attribute, which is 1 if the attribute is known.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.data.conditions import kinds
from cvae_jax.data.conditions.attribute import Attribute, blank
from cvae_jax.data.conditions.requests import Requests

VERSION = 1  # of schema.json and conditions.json
KEPT = 500  # training rows, from which missing attributes are drawn


@dataclasses.dataclass(frozen=True)
class Conditions(Requests):
  """Attributes, whether values may be unknown, and some of the training rows.

  `rows` holds at most `KEPT` training rows: a value for each attribute, None if
  it is unknown.
  """

  attributes: tuple[Attribute, ...]
  known_bits: bool = False
  rows: tuple[tuple[Any, ...], ...] = dataclasses.field(default=(), repr=False)

  @classmethod
  def fit(
    cls,
    entries: Sequence[Mapping[str, Any]],
    table: Mapping[str, Sequence[Any]],
    known_bits: bool | None = None,
  ) -> Self:
    """Take levels and ranges from a schema and the training rows.

    Args:
      entries: those of schema.json: name and kind, and what is stated of
        levels, range or period.
      table: {name: values [N]} of the training rows; a data frame will do.
      known_bits: whether a value may be unknown; None: where one is in these
        rows.

    Raises:
      DataError: a column is missing, two have one name, or the values do not
        fit their kind.
    """
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names):
      raise DataError(f"attributes need names of their own; found {names}")
    attributes = []
    missing = False
    for entry in entries:
      if entry["name"] not in table:
        raise DataError(
          f"no column {entry['name']!r}; there is {', '.join(table)}"
        )
      kind = kinds.kind(entry["kind"])
      values = list(table[entry["name"]])
      known = [v for v in values if kind(entry["name"]).known(v)]
      missing = missing or len(known) < len(values)
      attributes.append(kind.fit(entry, known))
    bits = missing if known_bits is None else known_bits
    fitted = cls(tuple(attributes), bits)
    return dataclasses.replace(fitted, rows=_pick_rows(fitted, table))

  @functools.cached_property
  def _drawn(self) -> NDArray[np.float32]:
    columns = zip(*self.rows, strict=True)
    return self.encode_table(dict(zip(self.asked, columns, strict=True)))

  def training_conditions(self) -> NDArray[np.float32] | None:
    """Return condition vectors [N, A] of training rows, None without any."""
    return self._drawn if self.rows else None

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return {
      "version": VERSION,
      "attributes": [attribute.entry() for attribute in self.attributes],
      "known_bits": self.known_bits,
      "rows": [list(row) for row in self.rows],
    }

  @classmethod
  def from_json(cls, saved: Mapping[str, Any]) -> Self:
    """Restore what `to_json` returned, or a schema.json that is complete.

    Raises:
      DataError: it is of a later version.
    """
    check_version(saved)
    attributes = tuple(
      kinds.kind(entry["kind"]).from_entry(entry)
      for entry in saved["attributes"]
    )
    rows = tuple(tuple(row) for row in saved.get("rows", ()))
    return cls(attributes, saved.get("known_bits", False), rows)


def check_version(saved: Mapping[str, Any]) -> None:
  """Check that a schema.json or conditions.json can be read here.

  Raises:
    DataError: it is of a later version.
  """
  if (version := saved.get("version", VERSION)) != VERSION:
    raise DataError(
      f"these conditions are of version {version!r}; this release reads "
      f"version {VERSION}"
    )


def _pick_rows(fitted: Conditions, table: Mapping[str, Any]) -> tuple:
  """Return the values of rows spread evenly over all of them."""
  if not fitted.attributes:
    return ()
  columns = [list(table[name]) for name in fitted.asked]
  count = len(columns[0])
  places = np.linspace(0, count - 1, min(KEPT, count)).round().astype(int)
  return tuple(
    tuple(_to_json_type(column[i]) for column in columns) for i in places
  )


def _to_json_type(value: Any) -> Any:
  """Return a value as JSON has it."""
  if isinstance(value, set | frozenset | tuple | list):
    return ";".join(map(str, sorted(value)))
  if blank(value) and not isinstance(value, str):
    return None
  return value.item() if isinstance(value, np.generic) else value
