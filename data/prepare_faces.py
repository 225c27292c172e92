r"""Turn face images and a table of attributes into a training set.

    python data/prepare_faces.py --images=faces.zip --table=attributes.csv
    python data/prepare_faces.py --images=UTKFace --table=utkface
    python data/prepare_faces.py --images=img_align_celeba.zip \
      --table=list_attr_celeba.txt --square=20,198,0,178 --out=data/celeba_120

A set that is there with the same settings is left as it is. The tables, the
format and the licences are described in data/README.md.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich import progress

from cvae_jax.data import DataError, face_files, face_images, face_tables, root

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


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
    if short.lower().endswith(_ENDINGS) and not short.startswith("."):
      where.setdefault(name, name)
      where.setdefault(short, name)
  return Images(where, read, sizes)


def decode_all(
  images: Images,
  files: Sequence[str],
  fit: face_images.Fit,
  workers: int,
  distorted: list[str],
) -> Iterator[np.ndarray | str]:
  """Decode in parallel, in order: uint8 [S, S, 3], or why that failed.

  Names of images that are not square when they are resized go to `distorted`.
  """

  def one(name: str) -> np.ndarray | str:
    try:
      image = face_images.decode(images.read(images.where[name]))
      height, width = fit.cut(image).shape[:2]
      if height != width:
        distorted.append(name)
      return fit(image)
    except (DataError, OSError, zipfile.BadZipFile, zlib.error) as error:
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


def shown(images: Iterable, total: int) -> Iterator:
  """Pass images on and show progress: a bar, or a line each tenth."""
  if sys.stdout.isatty():
    yield from progress.track(images, "faces", total)
    return
  for i, image in enumerate(images, 1):
    yield image
    if i * 10 // total > (i - 1) * 10 // total:
      print(f"  {i:,} of {total:,}", flush=True)


def wanted(options: argparse.Namespace, images: Images) -> pd.DataFrame:
  """Read the table and keep the rows that have conditions and an image.

  Raises:
    DataError: if images are missing and may not be, or all are.
  """
  # Each image once: `where` knows it by its path inside, too.
  files = sorted({path.rpartition("/")[2] for path in images.where.values()})
  table, left_out = face_tables.read(
    options.table, files, options.hair, options.columns
  )
  if left_out:
    first = next(iter(left_out.values()))
    print(f"{len(left_out):,} rows left out: {_some(left_out)}; first: {first}")
  here = table["file"].isin(images.where.keys())
  missing = table["file"][~here].tolist()
  if missing:
    said = f"{len(missing):,} of {len(table):,} images of the table are missing"
    said += f" in {options.images}: {_some(missing)}"
    if options.on_missing == "fail" or not here.any():
      raise DataError(f"{said}; --on_missing=skip goes on without them")
    print(said)
  return table[here].reset_index(drop=True)


def prepare(options: argparse.Namespace) -> None:
  """Write the set that the options ask for, unless it is there.

  Raises:
    DataError: if anything is missing, bad, or there with other settings.
  """
  fit = face_images.Fit(
    options.size, options.crop, options.square, options.resize
  )
  images = open_images(options.images)
  table = wanted(options, images)
  files = table["file"].tolist()
  # As they come back from JSON, to be compared with those of an older set.
  settings = {
    **json.loads(json.dumps(dataclasses.asdict(fit))),
    "on_corrupt": options.on_corrupt,
    "table_sha256": hashlib.sha256(table.to_csv().encode()).hexdigest(),
    "image_bytes": sum(images.bytes[images.where[name]] for name in files),
  }
  if not options.force and _there(options.out, settings):
    print(f"already prepared: {options.out}")
    return
  distorted, start = [], time.perf_counter()
  decoded = decode_all(images, files, fit, options.workers, distorted)
  named = guarded(decoded, files, options.on_corrupt == "fail")
  source = {"source": options.images.name}
  info = face_files.write_prepared(
    options.out, shown(named, len(files)), table, source | settings
  )
  seconds = time.perf_counter() - start
  if distorted:
    print(f"note: not square, so distorted (see --square): {_some(distorted)}")
  print(
    f"{info['count']:,} faces in {options.out} ({len(info['skipped'])} left"
    f" out), {seconds:.1f} s: {len(files) / seconds:,.0f} images/s"
  )


def _there(folder: pathlib.Path, settings: dict) -> bool:
  if not (folder / face_files.MARK).is_file():
    return False
  old = face_files.read_prepared(folder).info
  changed = [
    f"{key} {old.get(key)} → {value}"
    for key, value in settings.items()
    if old.get(key) != value
  ]
  if changed:
    raise DataError(
      f"{folder} is prepared with other settings: {', '.join(changed)};"
      " choose another --out, or replace it with --force"
    )
  return True


def _some(names: Iterable[str]) -> str:
  names = list(names)
  return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _box(text: str) -> tuple[int, ...] | None:
  box = tuple(int(part) for part in text.split(",") if part)
  if len(box) not in (0, 4):
    raise argparse.ArgumentTypeError("expected TOP,BOTTOM,LEFT,RIGHT")
  return box or None


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--images", type=pathlib.Path, required=True, help="folder or zip")
  add("--table", required=True, help="FILE, celeba:FILE or utkface")
  add("--out", type=pathlib.Path, default=root() / "faces_120")
  add("--size", type=int, default=120, help="pixels a side, afterwards")
  add("--crop", type=int, default=0, help="pixels off every side, before")
  add("--square", type=_box, help="TOP,BOTTOM,LEFT,RIGHT: the box to keep")
  add("--resize", choices=face_images.RESIZES, default="bilinear")
  add("--columns", type=lambda t: t.split(","), default=(), metavar="A,B")
  add("--hair", choices=("mean", "drop"), default="mean", help="CelebA: many")
  for name, default in (("--on_corrupt", "skip"), ("--on_missing", "fail")):
    add(name, choices=("skip", "fail"), default=default)
  add("--workers", type=int, default=2)
  add("--force", action="store_true", help="replace what is in --out")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Prepare the set; return 0, or 1 after saying what failed."""
  options = _parser().parse_args(argv)
  try:
    prepare(options)
  except (DataError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
