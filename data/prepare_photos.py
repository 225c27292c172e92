r"""Turn photographs of any size and format into a training set of one size.

    python data/prepare_photos.py --images=photos.zip
    python data/prepare_photos.py --images=FOLDER --shape=middle --out=data/mine

Rows are shuffled, always in the same way; --order=file has them in the order
of the file names. A set that is there with the same settings is left as it
is. The format is described in data/README.md.
"""

import argparse
import functools
import hashlib
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from cvae_jax.data import DataError, root
from cvae_jax.data.files import finding, image_files, preparing

_GREY = 2.0  # levels: below this mean of max − min a photo has no colour


def select_coloured(
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


def list_files(images: finding.Images, where: pathlib.Path) -> list[str]:
  """Order the photos by file name, each once.

  Raises:
    DataError: if there are none.
  """
  paths = sorted({*images.where.values()}, key=lambda p: (_short(p), p))
  if not paths:
    raise DataError(
      f"{where}: no photo in it; looked for {', '.join(finding.ENDINGS)}"
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
  images = finding.open_images(options.images)
  table = pd.DataFrame({"file": list_files(images, options.images)})
  table = finding.shuffle(table, options.order).reset_index(drop=True)
  files = table["file"].tolist()
  coloured_only = functools.partial(select_coloured, files=files)
  preparing.write(
    options,
    images,
    table,
    fit,
    {
      "on_grey": options.on_grey,
      "files_sha256": hashlib.sha256("\n".join(files).encode()).hexdigest(),
    },
    what="photos",
    remedy="--shape=middle",
    **({"choose": coloured_only} if options.on_grey == "skip" else {}),
  )


def _short(path: str) -> str:
  return path.rpartition("/")[2]


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--images", required=True, help="folder or zip")
  add("--out", default=root() / "photos_112")
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
  add(
    "--order",
    choices=("hash", "file"),
    default="hash",
    help="of the rows: by a digest of the file name, or by the name",
  )
  add("--workers", type=int, default=2)
  add("--force", action="store_true", help="replace what is in --out")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Prepare the set; return 0, or 1 after saying what failed."""
  return preparing.run(prepare, _parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
