"""What a face can be asked for: named values, their vectors, their limits."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import STEPS, Attribute
from cvae_jax.data.conditions.classes import Class
from cvae_jax.data.conditions.layout import align
from cvae_jax.data.conditions.number import Number
from cvae_jax.data.conditions.ranges import check_names
from cvae_jax.data.conditions.requests import Requests

_PAIR = ("male", "female")  # together the two levels of gender
_QUANTILES = (0.05, 0.5, 0.95)
_PANEL = ("male", "mouth", "eyes")  # what a panel varies, slowest first


@dataclasses.dataclass(frozen=True)
class Conditions(Requests):
  """Maps named values to condition vectors [A], in the order of `names`.

  `ranges` has the (low, high) of each name that a request may ask for, and
  `quantiles` its 5 %, 50 % and 95 % quantile over the training rows. `rows` and
  `sha256` are the number and the digest of these rows, or 0 and "" if unknown.
  They are stored with the run, so that it is not continued on other rows.
  """

  names: tuple[str, ...] = dataclasses.field()  # not Requests' default
  ranges: tuple[tuple[float, float], ...]
  quantiles: tuple[tuple[float, float, float], ...]
  rows: int = 0
  sha256: str = ""

  def __post_init__(self):
    check_names(self.names, self.ranges)

  @classmethod
  def fit(
    cls,
    vectors: npt.ArrayLike,
    names: tuple[str, ...],
    ranges: tuple[tuple[float, float], ...],
    sha256: str = "",
  ) -> Self:
    """Take the number and the quantiles of training vectors [N, A]."""
    found = np.quantile(np.asarray(vectors, np.float64), _QUANTILES, axis=0)
    quantiles = tuple(map(tuple, found.T.tolist()))
    return cls(names, ranges, quantiles, len(vectors), sha256)

  @functools.cached_property
  def attributes(self) -> tuple[Attribute, ...]:
    """Return what can be asked for: a number for each name.

    Male and female together are the two levels of a class, gender.
    """
    numbers = {
      name: Number(name, range=limits, scaled=limits)
      for name, limits in zip(self.names, self.ranges, strict=True)
    }
    if not set(_PAIR) <= set(self.names):
      return tuple(numbers.values())
    others = [n for name, n in numbers.items() if name not in _PAIR]
    return (Class("gender", _PAIR), *others)

  def columns(self, name: str) -> slice | list[int]:
    """Return the entries of an attribute: they are in the order of `names`."""
    self._check_names([name])
    if name not in self.names:
      return [self.names.index(one) for one in _PAIR]
    index = self.names.index(name)
    return slice(index, index + 1)

  def attribute(self, name: str) -> Attribute:
    """Return an attribute; male and female can be asked for alone too."""
    if name in _PAIR and name in self.names:
      limits = self._range(name)
      return Number(name, range=limits, scaled=limits)
    return super().attribute(name)

  @property
  def meanings(self) -> tuple[str, ...]:
    """Say what each entry holds: a number, also of male and of female."""
    return tuple(self.attribute(name).meanings[0] for name in self.names)

  def ends(self, name: str) -> npt.NDArray[np.float32]:
    """Return an attribute's low and high values [2, K] of its K entries.

    They are the quantiles of training; for gender female, then male.
    """
    if self.attribute(name).levels:
      return np.array([(0, 1), (1, 0)], np.float32)
    return np.array(self._training_range(name), np.float32)[:, None]

  def settings(self, name: str, steps: int = STEPS) -> npt.NDArray[np.float32]:
    """Return the entries [L, K] from an attribute's low to its high end."""
    low, high = self.ends(name)
    levels = 2 if len(low) > 1 else steps
    t = np.linspace(0, 1, levels, dtype=np.float32)[:, None]
    return (1 - t) * low + t * high

  def likely(self, name: str, steps: int = STEPS) -> list[Any]:
    """Return levels, or the quantiles of training whatever `steps` says."""
    if self.attribute(name).levels:
      return super().likely(name, steps)
    return sorted(set(self.quantiles[self.names.index(name)]))

  def encode(
    self, values: Mapping[str, npt.ArrayLike] | None = None, **named: Any
  ) -> npt.NDArray[np.float32]:
    """Build condition vectors [N, A] from a value of every name.

    Args:
      values: name → number or [N]; `named` are more of them, and win. Of
        male and female one suffices: the other is 1 minus it. Gender, "male"
        or "female", says both.

    Raises:
      DataError: if a name is unknown or missing, a value is outside its
        range, or lengths differ.
    """
    given = {**(values or {}), **named}
    given = self._expand_gender(given)
    if wrong := sorted(given.keys() ^ set(self.names)):
      raise DataError(
        f"missing or unknown: {', '.join(wrong)}; the conditions are"
        f" {', '.join(self.names)}"
      )
    columns = {name: self._numbers(name, given[name]) for name in self.names}
    for (name, x), (low, high) in zip(
      columns.items(), self.ranges, strict=True
    ):
      bad = x[~((low <= x) & (x <= high))]  # written to catch nan too
      if bad.size:
        raise DataError(
          f"{name} {bad[0]:g} is outside [{low:g}, {high:g}], its range"
        )
    if not columns:
      return self.blank(1)
    return np.column_stack(align(columns)).astype(np.float32)

  def left_out(self, given: Mapping[str, Any]) -> list[str]:
    """Name the attributes that a request does not mention."""
    spelled = self._expand_gender(given)
    left = [name for name in self.names if name not in spelled]
    paired = "gender" in self.asked
    return [
      name
      for name in self.asked
      if name in left or (name == "gender" and paired and "male" in left)
    ]

  def fill(
    self, vectors: npt.ArrayLike, values: Mapping[str, Any]
  ) -> npt.NDArray[np.float32]:
    """Return condition vectors [N, A] with some values replaced."""
    return super().fill(vectors, self._expand_gender(values))

  def _expand_gender(self, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with gender as male and female, each 1 minus the other."""
    given = dict(values)
    if "gender" in given and "gender" in self.asked:
      gender = self.attribute("gender")
      entries = gender.encode(gender.as_list(given.pop("gender")))
      given |= dict(zip(_PAIR, entries.T, strict=True))
    for one, other in (("male", "female"), ("female", "male")):
      if one in self.names and one not in given and other in given:
        given[one] = 1 - self._numbers(other, given[other])
    return given

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [P, A], settings that differ visibly, for sample grids.

    They combine male and female (slowest), mouth closed and open, and eyes
    narrow and wide, as far as they were seen; the others are at the median.
    If one of these names is missing, another one takes its place. P is 8, less
    with fewer than 3 names, and 1 without any.
    """
    middle = {n: q[1] for n, q in zip(self.names, self.quantiles, strict=True)}
    varied = [n for n in _PANEL if n in self.names]
    varied += [n for n in self.names if n not in (*varied, "female")]
    ends = [
      self._range("male")[::-1]
      if name == "male"
      else self._training_range(name)
      for name in varied[:3]
    ]
    rows = np.array(list(itertools.product(*ends)))
    chosen = middle | dict(zip(varied[:3], rows.T, strict=True))
    if "male" in chosen:
      chosen.pop("female", None)  # so that it follows male
    return self.encode(chosen)

  def _check_names(self, names: Iterable[str]) -> None:
    super()._check_names(n for n in names if n not in self.names)

  def _numbers(self, name: str, value: Any) -> npt.NDArray[np.float64]:
    try:
      return np.asarray(value, np.float64)
    except (TypeError, ValueError):
      raise DataError(f"{name} is a number; found {value!r}") from None

  def _training_range(self, name: str) -> tuple[float, float]:
    """Return the 5 % and the 95 % quantile of training.

    If they are equal, as for an attribute that few have, it is the range.
    """
    low, _, high = self.quantiles[self.names.index(name)]
    return (low, high) if low < high else self._range(name)

  def _range(self, name: str) -> tuple[float, float]:
    return self.ranges[self.names.index(name)]

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return {
      "names": [*self.names],
      "ranges": [[*r] for r in self.ranges],
      "quantiles": [[*q] for q in self.quantiles],
      "rows": self.rows,
      "sha256": self.sha256,
    }

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned; older runs did not know their rows."""
    pairs = (tuple(map(tuple, saved[k])) for k in ("ranges", "quantiles"))
    known = {key: saved[key] for key in ("rows", "sha256") if key in saved}
    return cls(tuple(saved["names"]), *pairs, **known)
