"""Check the arrays that a run is called with."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.host import images as pictures
from cvae_jax.settings import SEEDS

FAR = 20.0  # from 0: no image in [0, 1], however little it was trained


class RunError(ValueError):
  """Says why a folder or a run cannot serve as asked."""


def refuse_ambiguous(method: Callable) -> Callable:
  """Make a run's method refuse keywords that may mean two things.

  A method takes attributes by name beside its own parameters. Where an
  attribute is called `count`, `sample(count=2)` may mean either, unless the
  condition is given apart.

  Raises:
    RunError: when called so.
  """
  signature = inspect.signature(method)

  @functools.wraps(method)
  def checked(run, *values, **named):
    attributes = getattr(run.conditions, "asked", ())
    own = signature.parameters
    both = [name for name in named if name in own and name in attributes]
    if both:
      given = signature.bind(run, *values, **named).arguments
      if given.get("condition") is None:
        raise RunError(
          f"{method.__name__}({both[0]}=…) is its own parameter, and the run "
          f"has an attribute {both[0]}: say the attributes in words, as in "
          f"sample({{'{both[0]}': …}})"
        )
    return method(run, *values, **named)

  return checked


def check_draw(count: int | None, seed: int) -> None:
  """Check how many samples are asked for, and their seed.

  Raises:
    RunError: the count is none of 1, 2, …, or the seed none from 0 to 2³² − 1.
  """
  whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
  if count is not None and not (whole and count >= 1):
    raise RunError(f"count is 1 or more, a whole number; found {count!r}")
  whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
  if not (whole and 0 <= seed < SEEDS):
    raise RunError(
      f"seed is a whole number from 0 to {SEEDS - 1}; found {seed!r}"
    )


def images(
  values: ArrayLike, shape: tuple[int, ...] | None, folder: Path
) -> NDArray:
  """Return images [B, H, W, C], uint8 or floats in [0, 1].

  Args:
    values: see above.
    shape: (H, W, C), None where any will do.
    folder: the run's, for the error.

  Raises:
    RunError: they are of another type, range or shape.
  """
  try:
    values = pictures.check(values)
  except ValueError as error:
    raise RunError(str(error)) from None
  if shape is not None and values.shape[1:] != tuple(shape):
    wanted = ", ".join(map(str, shape))
    raise RunError(
      f"images must be [B, {wanted}] for {folder}; found shape {values.shape}"
    )
  return values


def check_decoded(images: Any, folder: Path) -> None:
  """Check that what a network decodes can be shown as images.

  A little outside [0, 1] is usual; clipped, values of 0 to 255 would be white.

  Raises:
    RunError: values are not finite, or far outside [0, 1].
  """
  images = np.asarray(images)
  if not images.size:
    return
  low, high = images.min(), images.max()
  if not np.isfinite((low, high)).all():
    raise RunError(
      f"{folder}: what its system decodes is not finite in "
      f"{np.mean(~np.isfinite(images)):.0%} of the values; expected images in "
      "[0, 1]"
    )
  if max(-low, high) > FAR:
    raise RunError(
      f"{folder}: its system decodes values from {low:.4g} to "
      f"{high:.4g}; expected images in [0, 1]: divide those of 0 to "
      "255 by 255"
    )


def vectors(
  values: ArrayLike, name: str, letter: str, width: int | None, folder: Path
) -> NDArray[np.float32]:
  """Return finite values [B, width]; those of [width] are one row.

  Args:
    values: see above; [B, 0] is an empty vector, for a system that reads none.
    name: the name of the values in the error.
    letter: the letter of their width in the error.
    width: of each row; None if any shape is allowed.
    folder: the run's, for the error.

  Raises:
    RunError: they have another shape, or are no finite numbers.
  """
  values = floats(values, name)
  if width is None:
    return values
  if values.shape == (width,) and width:
    values = values[None]
  if values.ndim != 2 or values.shape[1] not in (0, width):
    raise RunError(
      f"{name} must be [B, {letter}] with {letter} = {width} for {folder}; "
      f"found shape {values.shape}"
    )
  return values


def common_length(lengths: Iterable[int]) -> int | None:
  """Return the length of columns of which each has one row or as many as all.

  It is None if two columns of several rows differ in length.
  """
  several = set(lengths) - {1}
  return None if len(several) > 1 else max(several, default=1)


def rows(**columns: NDArray) -> list[NDArray]:
  """Return columns of equal length; one row serves all rows of the others.

  Raises:
    RunError: the lengths differ.
  """
  count = common_length(map(len, columns.values()))
  if count is None:
    found = [f"{len(column)} of {name}" for name, column in columns.items()]
    raise RunError(
      f"each row needs its own or one for all; found {' but '.join(found)}"
    )
  return [
    column if len(column) == count else np.repeat(column, count, axis=0)
    for column in columns.values()
  ]


def floats(values: ArrayLike, name: str) -> NDArray[np.float32]:
  """Return values as float32.

  Raises:
    RunError: they are no numbers, have no rows, or are not finite.
  """
  try:
    values = np.asarray(values, np.float32)
  except (TypeError, ValueError) as error:
    raise RunError(f"{name} must be an array of numbers: {error}") from None
  if not values.ndim:
    raise RunError(f"{name} must have rows, [B, …]; found one number")
  if not np.isfinite(values).all():
    raise RunError(f"{name} must be finite; found NaN or infinity")
  return values
