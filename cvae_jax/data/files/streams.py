"""Decode many images in parallel, in order; name what is left out, and why."""

import collections
import concurrent.futures
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich import progress

from cvae_jax.data import DataError
from cvae_jax.data.files import image_files
from cvae_jax.data.files.finding import Images
from cvae_jax.data.files.pictures import Pictures
from cvae_jax.host.console import say

# Of a zip's entries: damaged, encrypted, compressed in a way unknown here.
_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)
UNREADABLE = (DataError, OSError, *_ZIP)
_PEEK = 32  # images that are looked at for colour
_GREY = 2.0  # levels: below this mean of max − min an image has no colour


def decode_all(
  images: Images,
  files: Sequence[str],
  fit: image_files.Fit,
  workers: int,
  distorted: list[str],
  whites: list[float],
) -> Iterator[np.ndarray | str]:
  """Decode in parallel, in order: uint8 `fit.shape`, or why that failed.

  Names of images whose aspect changes go to `distorted`, and the white levels
  of those whose samples are wider than 8 bits to `whites`.
  """

  def one(name: str) -> np.ndarray | str:
    try:
      content = images.read(images.where[name])
      image = image_files.decode(content, whites, fit.white)
      if fit.distorts(*fit.cut(image).shape[:2]):
        distorted.append(name)
      return fit(image)
    except MemoryError as error:  # says nothing of the image
      raise DataError(_too_much(name)) from error
    except UNREADABLE as error:
      if _out_of_memory(error):
        raise DataError(_too_much(name)) from error
      return str(error)

  # Not executor.map, which would hold every image that is not yet written.
  pending = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(workers) as executor:
    for name in files:
      pending.append(executor.submit(one, name))
      if len(pending) > 8 * workers:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()


def _too_much(name: str) -> str:
  return (
    f"out of memory at {name}; nothing was written. Give fewer --workers or a "
    "smaller --size"
  )


def _out_of_memory(error: BaseException | None) -> bool:
  while error is not None:
    if isinstance(error, MemoryError):
      return True
    error = error.__cause__
  return False


def guard(
  images: Iterable[np.ndarray | str], files: Sequence[str], fail: bool
) -> Iterator[np.ndarray | str]:
  """Pass images on and name those that failed, or raise at the first."""
  for name, image in zip(files, images, strict=True):
    if isinstance(image, str):
      if fail:
        raise DataError(f"{name}: {image}; --on_corrupt=skip goes on without")
      say(f"  left out: {name}: {image}")
    yield image


def is_grey(pictures: Pictures) -> bool:
  """Tell whether images have no colour, from some where they are files."""
  if pictures.grey is not None:
    return pictures.grey
  names = pictures.table["file"]
  chosen = np.linspace(0, len(names) - 1, min(_PEEK, len(names))).astype(int)
  for name in names.iloc[chosen]:
    try:
      image = image_files.decode(pictures.images.read(name))
    except UNREADABLE:
      continue  # named when all are decoded
    if _has_colour(image):
      return False
  return True


def keep_one_channel(
  images: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass on one channel of grey images.

  Raises:
    DataError: if one has colours.
  """
  for name, image in zip(files, images, strict=True):
    if isinstance(image, str):
      yield image
      continue
    if _has_colour(image):
      raise DataError(
        f"{name} has colours, the first images that were looked at have none; "
        "give --colour=rgb, or --colour=grey to drop them"
      )
    yield image[..., :1]


def skip_grey(
  images: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass images on; name and leave out grey ones."""
  for name, image in zip(files, images, strict=True):
    if not isinstance(image, str):
      chroma = np.ptp(image, axis=-1).mean()
      if chroma < _GREY:
        image = f"a grey photo (mean chroma {chroma:.1f})"
        say(f"  left out: {name}: {image}; --on_grey=keep keeps it")
    yield image


def _has_colour(image: np.ndarray) -> bool:
  return bool((image[..., :1] != image[..., 1:]).any())


def show_progress(images: Iterable, total: int, what: str) -> Iterator:
  """Pass images on and show progress: a bar, or a line each tenth."""
  if sys.stdout.isatty():
    yield from progress.track(images, what, total)
    return
  for i, image in enumerate(images, 1):
    yield image
    if i * 10 // total > (i - 1) * 10 // total:
      say(f"  {i:,} of {total:,}")
