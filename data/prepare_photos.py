r"""Turn photographs of any size and format into a training set of one size.

    python data/prepare_photos.py --images=photos.zip
    python data/prepare_photos.py --images=FOLDER --shape=middle --out=data/mine

Rows are in the order of the file names. A set that is there with the same
settings is left as it is. The format is described in data/README.md.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from cvae_jax.data import (
  DataError,
  image_files,
  prepared,
  preparing,
  root,
)

_GREY = 2.0  # levels: below this mean of max − min a photo has no colour


def coloured(
  photos: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass photos on; name and leave out grey ones, which teach no colour."""
  for name, photo in zip(files, photos, strict=True):
    if not isinstance(photo, str):
      chroma = np.ptp(photo, axis=-1).mean()
      if chroma < _GREY:
        photo = f"a grey photo (mean chroma {chroma:.1f})"
        print(f"  left out: {name}: {photo}; --on_grey=keep keeps it")
    yield photo


def files_of(images: preparing.Images, where: pathlib.Path) -> list[str]:
  """Order the photos by file name, each once.

  Raises:
    DataError: if there are none.
  """
  paths = sorted({*images.where.values()}, key=lambda p: (_short(p), p))
  if not paths:
    raise DataError(
      f"{where}: no photo in it; looked for {', '.join(preparing.ENDINGS)}"
    )
  return paths


def prepare(options: argparse.Namespace) -> None:
  """Write the set that the options ask for, unless it is there.

  Raises:
    DataError: if anything is missing, bad, or there with other settings.
  """
  fit = image_files.Fit(
    options.size, resize=options.resize, middle=options.shape == "middle"
  )
  images = preparing.open_images(options.images)
  files = files_of(images, options.images)
  # As they come back from JSON, to be compared with those of an older set.
  settings = {
    **json.loads(json.dumps(dataclasses.asdict(fit))),
    "on_corrupt": options.on_corrupt,
    "on_grey": options.on_grey,
    "files_sha256": hashlib.sha256("\n".join(files).encode()).hexdigest(),
    "image_bytes": sum(images.bytes[name] for name in files),
  }
  if not options.force and preparing.there(options.out, settings):
    print(f"already prepared: {options.out}")
    return
  distorted, start = [], time.perf_counter()
  photos = preparing.decode_all(images, files, fit, options.workers, distorted)
  photos = preparing.guarded(photos, files, options.on_corrupt == "fail")
  if options.on_grey == "skip":
    photos = coloured(photos, files)
  info = prepared.write(
    options.out,
    preparing.shown(photos, len(files), "photos"),
    pd.DataFrame({"file": files}),
    {"source": options.images.name} | settings,
  )
  seconds = time.perf_counter() - start
  if distorted:
    names = preparing.some(distorted)
    print(f"note: not square, so distorted (see --shape=middle): {names}")
  print(
    f"{info['count']:,} photos in {options.out} ({len(info['skipped'])} left"
    f" out), {seconds:.1f} s: {len(files) / seconds:,.0f} images/s"
  )


def _short(path: str) -> str:
  return path.rpartition("/")[2]


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--images", type=pathlib.Path, required=True, help="folder or zip")
  add("--out", type=pathlib.Path, default=root() / "photos_112")
  add("--size", type=int, default=112, help="pixels a side, afterwards")
  add(
    "--shape",
    choices=("whole", "middle"),
    default="whole",
    help="whole: squeezed to a square, as in the source; middle: cut to one",
  )
  add("--resize", choices=image_files.RESIZES, default="bilinear")
  add("--on_corrupt", choices=("skip", "fail"), default="skip")
  add("--on_grey", choices=("skip", "keep"), default="skip")
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
