"""What the scripts that prepare images share: finding, decoding, telling."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
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

from cvae_jax import lock
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
  twice: dict[str, list[str]]  # file name → the paths that share it


def open_images(path: pathlib.Path) -> Images:
  """List the images of a folder or zip; linked folders are entered.

  What is not looked at is counted by its ending and printed.

  Raises:
    DataError: if it is neither a folder nor a zip.
  """
  if path.is_dir():
    found = {f.relative_to(path).as_posix(): f for f in _files(path)}
    sizes = {name: file.stat().st_size for name, file in found.items()}
    read = lambda name: (path / name).read_bytes()  # noqa: E731
  else:
    try:
      archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
      raise DataError(f"{path}: neither a folder nor a zip: {error}") from error
    infos = [info for info in archive.infolist() if not info.is_dir()]
    sizes = {info.filename: info.file_size for info in infos}
    if len(sizes) < len(infos):
      counts = collections.Counter(info.filename for info in infos)
      twice = [name for name, count in counts.items() if count > 1]
      raise DataError(
        f"{path}: {some(twice)} {'is' if len(twice) == 1 else 'are'} in the zip"
        " more than once; write the zip again with each name once"
      )
    read = archive.read
  names = sorted(sizes, key=lambda n: (n.count("/"), n))
  images = [name for name in names if _is_image(name)]
  _count_others(path, set(names) - set(images))
  by_name = {}
  for name in images:
    by_name.setdefault(name.rpartition("/")[2], []).append(name)
  where = {short: paths[0] for short, paths in by_name.items()}
  where |= {name: name for name in images}
  twice = {short: paths for short, paths in by_name.items() if len(paths) > 1}
  return Images(where, read, sizes, twice)


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Find all files, through links too; a folder is entered once."""
  seen = set()
  for here, folders, names in os.walk(folder, followlinks=True):
    real = os.path.realpath(here)
    if real in seen:  # a loop, or a second link to the same folder
      folders.clear()
      continue
    seen.add(real)
    folders.sort()
    for name in names:
      file = pathlib.Path(here, name)
      if file.is_file():
        yield file


def _is_image(name: str) -> bool:
  short = name.rpartition("/")[2]
  return short.lower().endswith(ENDINGS) and not short.startswith(".")


def _count_others(path: pathlib.Path, names: set[str]) -> None:
  """Print how many files are no images by their names, of each ending."""
  endings = collections.Counter(
    pathlib.PurePosixPath(name).suffix.lower() or "no ending" for name in names
  )
  if endings:
    each = ", ".join(f"{count:,} {end}" for end, count in endings.most_common())
    print(f"not looked at in {path}: {each}")


def check_unique(images: Images, files: Iterable[str]) -> None:
  """Check that each name that is asked for is one file's.

  Raises:
    DataError: if a name of several files comes without its folder.
  """
  for name in files:
    paths = images.twice.get(name, ())
    if len(paths) > 1:
      raise DataError(
        f"{len(paths)} files {name}: {some(paths)}; the table says {name};"
        " write folder/name"
      )


def resolved(images: Images, table: pd.DataFrame) -> pd.DataFrame:
  """Replace names that begin in another folder than the images do.

  A table's `img/0001.jpg` is the images' `0001.jpg` or `all/img/0001.jpg`:
  one path ends with the other.

  Raises:
    DataError: if two names of the table would be one image, or one name two.
  """
  by_name = {}
  for path in {*images.where.values()}:
    by_name.setdefault(path.rpartition("/")[2], []).append(path)
  found = {}
  for name in set(table["file"]) - images.where.keys():
    asked = "/" + name.replace("\\", "/").lstrip("/")
    paths = [
      path
      for path in by_name.get(asked.rpartition("/")[2], ())
      if asked.endswith("/" + path) or ("/" + path).endswith(asked)
    ]
    if len(paths) > 1:
      raise DataError(f"the table's {name} may be any of {some(sorted(paths))}")
    if paths:
      found[name] = paths[0]
  names = collections.defaultdict(set)
  for name in set(table["file"]):
    names[found.get(name, images.where.get(name, name))].add(name)
  for path, several in names.items():
    if len(several) > 1:
      raise DataError(
        f"the table's {some(sorted(several))} are one image, {path}; give"
        " --images the folder in which the table's names begin"
      )
  return table.assign(file=table["file"].replace(found))


def shuffled(table: pd.DataFrame, order: str) -> pd.DataFrame:
  """Order rows by a digest of their file name, or leave them.

  Names are often sorted by age or class, and the last rows are held out. The
  digest needs no seed, so the same files are always in the same order, and
  parts of it hold each class in the share that it has.
  """
  if order == "file":
    return table
  key = lambda name: hashlib.sha256(name.encode()).hexdigest()  # noqa: E731
  return table.iloc[np.argsort(table["file"].map(key), kind="stable")]


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
    except MemoryError as error:  # says nothing of the image
      raise DataError(
        f"out of memory at {name}; nothing was written. Give fewer --workers"
      ) from error
    except _UNREADABLE as error:
      if _out_of_memory(error):
        raise DataError(
          f"out of memory at {name}; nothing was written. Give fewer --workers"
        ) from error
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


def _out_of_memory(error: BaseException | None) -> bool:
  while error is not None:
    if isinstance(error, MemoryError):
      return True
    error = error.__cause__
  return False


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
  except (DataError, OSError, lock.FolderInUse) as error:
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
    options: a script's own: out, images, order, on_corrupt, workers, force.
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
    "order": options.order,
    **own,
    "image_bytes": sum(images.bytes[images.where[name]] for name in files),
  }
  if not options.force and there(options.out, settings):
    print(f"already prepared: {options.out}")
    return
  distorted, start = [], time.perf_counter()
  with lock.hold(options.out, "preparing data"):
    # Another process may have written one before the lock was ours.
    if not options.force and there(options.out, settings):
      print(f"already prepared: {options.out}")
      return
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
  if info["equal"]:
    groups = [" = ".join(some([*names]).split(", ")) for names in info["equal"]]
    number = sum(map(len, info["equal"]))
    print(
      f"note: {number:,} {what} equal another in every pixel, so one may train"
      f" and its copy be held out: {some(groups)}"
    )
  print(
    f"{info['count']:,} {what} in {options.out} ({len(info['skipped'])} left"
    f" out), {seconds:.1f} s: {len(files) / seconds:,.0f} images/s"
  )
