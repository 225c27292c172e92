"""What the scripts that prepare images share: finding, decoding, telling."""

import collections
import concurrent.futures
import dataclasses
import json
import pathlib
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich import progress

from cvae_jax.data import DataError
from cvae_jax.data.files import image_files, prepared
from cvae_jax.data.files.finding import Images, shorten
from cvae_jax.host import lock
from cvae_jax.host.paths import PathError, folder, local

# Of a zip's entries: damaged, encrypted, compressed in a way unknown here.
_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)
_UNREADABLE = (DataError, OSError, *_ZIP)


def decode_all(
  images: Images,
  files: Sequence[str],
  fit: image_files.Fit,
  workers: int,
  distorted: list[str],
) -> Iterator[np.ndarray | str]:
  """Decode in parallel, in order: uint8 `fit.shape`, or why that failed.

  Names of images whose aspect changes go to `distorted`.
  """

  def one(name: str) -> np.ndarray | str:
    try:
      image = image_files.decode(images.read(images.where[name]))
      if fit.distorts(*fit.cut(image).shape[:2]):
        distorted.append(name)
      return fit(image)
    except MemoryError as error:  # says nothing of the image
      raise DataError(_too_much(name)) from error
    except _UNREADABLE as error:
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
      print(f"  left out: {name}: {image}")
    yield image


def show_progress(images: Iterable, total: int, what: str) -> Iterator:
  """Pass images on and show progress: a bar, or a line each tenth."""
  if sys.stdout.isatty():
    yield from progress.track(images, what, total)
    return
  for i, image in enumerate(images, 1):
    yield image
    if i * 10 // total > (i - 1) * 10 // total:
      print(f"  {i:,} of {total:,}", flush=True)


def is_up_to_date(folder: pathlib.Path, settings: dict) -> bool:
  """Tell whether a folder holds the set that these settings make.

  Raises:
    DataError: if it holds one of other settings.
  """
  if not (folder / prepared.MARK).is_file():
    return False
  old = prepared.read(folder).info
  changed = [
    f"{key} {old.get(key)} → {value}"
    for key, value in settings.items()
    if old.get(key, value) != value  # a setting may be younger than the set
  ]
  if changed:
    raise DataError(
      f"{folder} is prepared with other settings: {', '.join(changed)};"
      " choose another --out, or replace it with --force"
    )
  return True


def _describe_fit(fit: image_files.Fit) -> dict[str, Any]:
  """Return a fit's settings; those younger than most sets only if used."""
  found = dataclasses.asdict(fit)
  young = ("width", "pad", "grey")
  return {k: v for k, v in found.items() if v or k not in young}


def run(prepare: Callable, options: Any) -> int:
  """Prepare a set; return 0, or 1 after saying what failed.

  Args:
    options: a script's own; `images` and `out` are texts, or Paths.
  """
  try:
    options.images = local(options.images, "--images")
    options.out = folder(options.out, "--out")
    prepare(options)
  except (DataError, PathError, OSError, lock.FolderInUse) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


def write(
  options: Any,
  images: Images,
  table: pd.DataFrame,
  fit: image_files.Fit,
  own: dict[str, Any],
  *,
  what: str,
  remedy: str,
  choose: Callable[[Iterable], Iterable] = lambda decoded: decoded,
  beside: Mapping[str, str] | None = None,
) -> None:
  """Write the set of a table's files, unless it is there.

  Args:
    options: a script's own: out, images, order, on_corrupt, workers, force.
    own: the settings that only this kind of set has.
    what: its images are called.
    remedy: the option against images that are not square.
    choose: passes decoded images on, or why one is left out.
    beside: other files of the set, name → text.

  Raises:
    DataError: if anything is bad, or there with other settings.
  """
  if options.workers < 1:
    raise DataError(f"--workers={options.workers}: expected 1 or more")
  files = table["file"].tolist()
  settings = _settings(options, images, files, fit, own)
  if not options.force and is_up_to_date(options.out, settings):
    print(f"already prepared: {options.out}")
    return
  distorted: list[str] = []
  start = time.perf_counter()
  with lock.hold(options.out, "preparing data"):
    # Another process may have written one before the lock was ours.
    if not options.force and is_up_to_date(options.out, settings):
      print(f"already prepared: {options.out}")
      return
    prepared.clear(options.out)
    decoded = decode_all(images, files, fit, options.workers, distorted)
    decoded = choose(guard(decoded, files, options.on_corrupt == "fail"))
    info = prepared.write(
      options.out,
      show_progress(decoded, len(files), what),
      table,
      {"source": options.images.name}
      | settings
      | ({"split_column": "person"} if "person" in table else {}),
      beside,
    )
  seconds = time.perf_counter() - start
  _note(distorted, fit, info["equal"], what, remedy)
  print(
    f"{info['count']:,} {what} in {options.out} ({len(info['skipped'])} left"
    f" out), {seconds:.1f} s: {len(files) / seconds:,.0f} images/s"
  )


def _settings(options, images: Images, files, fit, own) -> dict[str, Any]:
  """Return what a set was made with, by which it is known again."""
  return {
    # As it comes back from JSON, to be compared with an older set's.
    **json.loads(json.dumps(_describe_fit(fit))),
    "on_corrupt": options.on_corrupt,
    "order": options.order,
    **own,
    "image_bytes": sum(images.bytes[images.where[name]] for name in files),
  }


def _note(distorted, fit, equal, what: str, remedy: str) -> None:
  """Say which images were distorted and which are equal."""
  if distorted:
    names = shorten(distorted)
    shape = "square" if fit.shape[0] == fit.shape[1] else f"of {fit.shape[:2]}"
    print(f"note: not {shape}, so distorted (see {remedy}): {names}")
  if equal:
    groups = [" = ".join(shorten([*names]).split(", ")) for names in equal]
    number = sum(map(len, equal))
    print(
      f"note: {number:,} {what} equal another in every pixel, so one may train"
      f" and its copy be held out: {shorten(groups)}"
    )
