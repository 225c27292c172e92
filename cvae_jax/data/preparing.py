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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import progress

from cvae_jax.data import DataError, image_files, prepared

ENDINGS = (
  *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"),
  *(".gif", ".ppm", ".avif"),
)


class Images(NamedTuple):
  """Images anywhere in a folder or a zip."""

  where: dict[str, str]  # file name, or path inside → path inside
  read: Callable[[str], bytes]
  bytes: dict[str, int]


def open_images(path: pathlib.Path) -> Images:
  """List the images of a folder or zip; of equal names the shallowest wins.

  Raises:
    DataError: if it is neither a folder nor a zip.
  """
  if path.is_dir():
    found = [file for file in path.rglob("*") if file.is_file()]
    sizes = {f.relative_to(path).as_posix(): f.stat().st_size for f in found}
    read = lambda name: (path / name).read_bytes()  # noqa: E731
  else:
    try:
      archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
      raise DataError(f"{path}: neither a folder nor a zip: {error}") from error
    sizes = {i.filename: i.file_size for i in archive.infolist()}
    read = archive.read
  where = {}
  for name in sorted(sizes, key=lambda n: (n.count("/"), n)):
    short = name.rpartition("/")[2]
    if short.lower().endswith(ENDINGS) and not short.startswith("."):
      where.setdefault(name, name)
      where.setdefault(short, name)
  return Images(where, read, sizes)


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
  """Decode in parallel, in order: uint8 [S, S, 3], or why that failed.

  Names of images that are not square when they are resized go to `distorted`.
  """

  def one(name: str) -> np.ndarray | str:
    try:
      image = image_files.decode(images.read(images.where[name]))
      height, width = fit.cut(image).shape[:2]
      if height != width:
        distorted.append(name)
      return fit(image)
    except _UNREADABLE as error:
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


def guarded(
  images: Iterable[np.ndarray | str], files: Sequence[str], fail: bool
) -> Iterator[np.ndarray | str]:
  """Pass images on and name those that failed, or raise at the first."""
  for name, image in zip(files, images, strict=True):
    if isinstance(image, str):
      if fail:
        raise DataError(f"{name}: {image}; --on_corrupt=skip goes on without")
      print(f"  left out: {name}: {image}")
    yield image


def shown(images: Iterable, total: int, what: str) -> Iterator:
  """Pass images on and show progress: a bar, or a line each tenth."""
  if sys.stdout.isatty():
    yield from progress.track(images, what, total)
    return
  for i, image in enumerate(images, 1):
    yield image
    if i * 10 // total > (i - 1) * 10 // total:
      print(f"  {i:,} of {total:,}", flush=True)


def there(folder: pathlib.Path, settings: dict) -> bool:
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


def some(names: Iterable[str]) -> str:
  """Name the first few."""
  names = list(names)
  return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def run(prepare: Callable, options: Any) -> int:
  """Prepare a set; return 0, or 1 after saying what failed."""
  try:
    prepare(options)
  except (DataError, OSError) as error:
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
) -> None:
  """Write the set of a table's files, unless it is there.

  Args:
    options: a script's own: out, images, on_corrupt, workers, force.
    own: the settings that only this kind of set has.
    what: its images are called.
    remedy: the option against images that are not square.
    choose: passes decoded images on, or why one is left out.

  Raises:
    DataError: if anything is bad, or there with other settings.
  """
  if options.workers < 1:
    raise DataError(f"--workers={options.workers}: expected 1 or more")
  files = table["file"].tolist()
  # As they come back from JSON, to be compared with those of an older set.
  settings = {
    **json.loads(json.dumps(dataclasses.asdict(fit))),
    "on_corrupt": options.on_corrupt,
    **own,
    "image_bytes": sum(images.bytes[images.where[name]] for name in files),
  }
  if not options.force and there(options.out, settings):
    print(f"already prepared: {options.out}")
    return
  distorted, start = [], time.perf_counter()
  decoded = decode_all(images, files, fit, options.workers, distorted)
  decoded = choose(guarded(decoded, files, options.on_corrupt == "fail"))
  info = prepared.write(
    options.out,
    shown(decoded, len(files), what),
    table,
    {"source": options.images.name} | settings,
  )
  seconds = time.perf_counter() - start
  if distorted:
    names = some(distorted)
    print(f"note: not square, so distorted (see {remedy}): {names}")
  print(
    f"{info['count']:,} {what} in {options.out} ({len(info['skipped'])} left"
    f" out), {seconds:.1f} s: {len(files) / seconds:,.0f} images/s"
  )
