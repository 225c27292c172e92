"""What digits are conditioned on: class and relative ink."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError
from cvae_jax.data.conditions.attribute import Attribute
from cvae_jax.data.conditions.classes import Class
from cvae_jax.data.conditions.ink import ink_ratio
from cvae_jax.data.conditions.layout import align
from cvae_jax.data.conditions.number import Number
from cvae_jax.data.conditions.requests import Requests
from cvae_jax.data.files.digit_files import CLASSES, check_labels

_LIMITS = {"per_class": (-1.0, 1.0), "global": (0.0, 1.0)}
_UNITS = {
  "per_class": "0 is the class's mean ink, 0.5 one standard deviation more",
  "global": "0 is a mean pixel of 0.075 or less, 1 of 0.175 or more",
}
_SIZES = {"class+ink": CLASSES + 1, "class": CLASSES, "none": 0}


@dataclasses.dataclass(frozen=True)
class Conditions(Requests):
  """Maps (class, ink) to condition vectors [11]: one-hot class, then ink.

  With the `kind` "class" a vector is the class alone, [10], and with "none" it
  is empty, [0].

  With r the mean of an image's 784 pixels in [0, 1], ink "per_class" is
  clip(0.5 (r - mean_k) / std_k, -1, 1), 0 being average for class k; ink
  "global" is model 1's clip(10 (r - 0.075), 0, 1). `mean` and `std`
  (population) are over the training images of each class. Spec section 1.
  """

  ink: str
  mean: tuple[float, ...]
  std: tuple[float, ...]
  kind: str = "class+ink"

  def __post_init__(self):
    if self.kind not in _SIZES:
      raise DataError(
        f"condition is one of {', '.join(_SIZES)}; found {self.kind!r}"
      )
    if self.ink not in _LIMITS:
      raise DataError(f"ink is one of {', '.join(_LIMITS)}; found {self.ink!r}")

  @classmethod
  def fit(
    cls,
    images: np.ndarray,
    labels: np.ndarray,
    ink: str,
    kind: str = "class+ink",
  ) -> Self:
    """Take the statistics of training images [N, 28, 28(, 1)], labels [N].

    Raises:
      DataError: if a class has no image, or all its images have equal ink.
    """
    ratio = ink_ratio(images)
    labels = check_labels(labels, "labels")
    of_class = [ratio[labels == k] for k in range(CLASSES)]
    for k, r in enumerate(of_class):
      if not r.size:
        raise DataError(f"class {k} has no training image; each needs some")
      if np.ptp(r) == 0:  # std would be 0 or, by rounding, nearly so
        raise DataError(
          f"class {k}: its {r.size} training image(s) have the same ink, so"
          " the standard deviation to divide by is 0"
        )
    mean = tuple(float(r.mean()) for r in of_class)
    return cls(ink, mean, tuple(float(r.std()) for r in of_class), kind)

  @functools.cached_property
  def attributes(self) -> tuple[Attribute, ...]:
    """Return what can be asked for: a class, and a number within the class."""
    found = {
      "class": Class("class", tuple(map(str, range(CLASSES)))),
      "ink": Number(
        "ink",
        range=self.limits,
        scaled=self.limits,
        unit=_UNITS[self.ink],
        mean=self.mean,
        std=self.std,
      ),
    }
    return tuple(found[n] for n in self.kind.split("+") if n in found)

  @property
  def classes(self) -> int:
    """Return the number of classes, 10."""
    return CLASSES

  @property
  def names(self) -> tuple[str, ...]:
    """Name the entries of a condition vector."""
    return (*(f"class {k}" for k in range(CLASSES)), "ink")[: self.size]

  @property
  def limits(self) -> tuple[float, float]:
    """Return the least and the greatest legal ink condition."""
    return _LIMITS[self.ink]

  def measure(
    self, images: npt.ArrayLike, labels: npt.ArrayLike
  ) -> npt.NDArray[np.float64]:
    """Measure the ink condition [N] of images, given their classes.

    Args:
      images: [N, 28, 28] or [N, 28, 28, 1], uint8 or float in [0, 1].
      labels: [N], or one label for all.

    Raises:
      DataError: if shapes, types or labels are wrong.
    """
    ratio = ink_ratio(images)
    labels = check_labels(labels, "labels")
    if labels.shape not in ((), ratio.shape):
      raise DataError(f"{len(ratio)} images but labels of shape {labels.shape}")
    if self.ink == "global":
      return np.clip((ratio - 0.075) * 10, 0, 1)
    ink = Number("ink", range=self.limits, mean=self.mean, std=self.std)
    return ink.standardise(ratio, labels)

  def encode_images(
    self, images: npt.ArrayLike, labels: npt.ArrayLike
  ) -> npt.NDArray[np.float32]:
    """Return the condition vectors [N, A] of images [N, …] and labels [N]."""
    if self.kind == "none":
      return self.blank(len(images))
    if self.kind == "class":
      return self.encode(labels)
    return self.encode(labels, self.measure(images, labels))

  def encode(
    self,
    labels: npt.ArrayLike | Mapping[str, Any] | None = None,
    ink: npt.ArrayLike | None = None,
    **named: Any,
  ) -> npt.NDArray[np.float32]:
    """Build condition vectors [N, A] from labels and ink, each [N] or one.

    Ink that is not given is the middle of `limits`. A mapping or names, as in
    {"class": 3, "ink": 0.5}, are requests like those of other data: both must
    be given.

    Raises:
      DataError: if a label is outside 0..9, an ink outside `limits`, the two
        do not fit together, or one is asked for that `kind` does not have.
    """
    if named or labels is None or isinstance(labels, Mapping):
      inked = {} if ink is None else {"ink": ink}
      return super().encode(labels, **inked, **named)
    if self.kind == "none":
      raise DataError(
        "these data are not conditioned on anything, so no class can be asked"
        " for; blank(count) gives their empty conditions"
      )
    labels = check_labels(labels, "labels")
    if self.kind == "class":
      if ink is not None:
        raise DataError(
          "these data are conditioned on the class and not on ink"
        )
      return np.eye(CLASSES, dtype=np.float32)[np.atleast_1d(labels)]
    ink = self._checked_ink(sum(self.limits) / 2 if ink is None else ink)
    labels, ink = align({"labels": labels, "ink": ink})
    return np.column_stack([np.eye(CLASSES)[labels], ink]).astype(np.float32)

  def _checked_ink(self, ink: npt.ArrayLike) -> npt.NDArray[np.float64]:
    low, high = self.limits
    try:
      ink = np.asarray(ink, np.float64)
    except (TypeError, ValueError):
      raise DataError(
        f"ink {ink!r:.60} is no number; expected one in [{low:g}, {high:g}]"
      ) from None
    bad = ink[~((low <= ink) & (ink <= high))]  # written to catch nan too
    if bad.size:
      raise DataError(
        f"ink {bad[0]} is outside [{low:g}, {high:g}], the range of"
        f" {self.ink!r} ink"
      )
    return ink

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [P, A]: each class at middle ink, or one empty condition."""
    if self.kind == "none":
      return self.blank(1)
    return self.encode(np.arange(CLASSES))

  def probe(
    self, name: str, rows: npt.ArrayLike, count: int
  ) -> npt.NDArray[np.float32]:
    """Ask for all of one attribute: condition vectors [10 · count, A].

    Args:
      name: "class", each `count` times, at ink 0.5 if there is ink; or "ink",
        `count` values from least to greatest in each class.
      rows: condition vectors of real images; not needed here.
      count: see `name`.
    """
    labels = np.repeat(np.arange(CLASSES), count)
    if name == "class":
      return self.encode(labels, 0.5 if "ink" in self.asked else None)
    return self.encode(
      labels, np.tile(np.linspace(*self.limits, count), CLASSES)
    )

  @property
  def moved(self) -> tuple[str, ...]:
    """Name none: ink is relative to a class, and classes have no order."""
    return ()

  def gauge(
    self, images: npt.ArrayLike, asked: npt.ArrayLike
  ) -> dict[str, npt.NDArray[np.float64]]:
    """Measure {"ink": [N, 1]} of images as of the classes asked for, [N, A].

    Nothing else can be measured without a judge. Without ink it is {}.
    """
    if "ink" not in self.asked:
      return {}
    labels = np.asarray(asked)[:, :CLASSES].argmax(axis=1)
    return {"ink": self.measure(images, labels)[:, None]}

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    saved = {"ink": self.ink, "mean": [*self.mean], "std": [*self.std]}
    # Left out where it is the default: a run's file may be older than it.
    return saved | ({} if self.kind == "class+ink" else {"kind": self.kind})

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned."""
    kind = saved.get("kind", "class+ink")
    return cls(saved["ink"], tuple(saved["mean"]), tuple(saved["std"]), kind)
