r"""Turn face images and a table of attributes into a training set.

    python data/prepare_faces.py --images=faces.zip --table=attributes.csv
    python data/prepare_faces.py --images=UTKFace --table=utkface
    python data/prepare_faces.py --images=img_align_celeba.zip \
      --table=list_attr_celeba.txt --square=20,198,0,178 --out=data/celeba_120

Rows are shuffled, always in the same way, unless --order=file. A set that is
there with the same settings is left as it is. The tables, the
format and the licences are described in data/README.md.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence

import pandas as pd

from cvae_jax.data import DataError, root
from cvae_jax.data.files import face_tables, finding, image_files, preparing


def select_rows(
  options: argparse.Namespace, images: finding.Images
) -> pd.DataFrame:
  """Read the table and keep the rows that have conditions and an image.

  Raises:
    DataError: if images are missing and may not be, or all are.
  """
  # Each image once: `where` knows it by its path inside, too.
  paths = {*images.where.values()}
  shorts = {path.rpartition("/")[2] for path in paths} - images.twice.keys()
  # Those that share a name keep their folder.
  files = sorted(shorts) + sorted(
    path for twice in images.twice.values() for path in twice
  )
  table, left_out = face_tables.read(
    options.table, files, options.hair, options.columns, options.file_column
  )
  if left_out:
    first = next(iter(left_out.values()))
    names = finding.shorten(left_out)
    print(f"{len(left_out):,} rows left out: {names}; first: {first}")
  table = finding.resolve(images, table)
  here = table["file"].isin(images.where.keys())
  missing = table["file"][~here].tolist()
  if missing:
    said = f"{len(missing):,} of {len(table):,} images of the table are missing"
    said += f" in {options.images}: {finding.shorten(missing)}"
    if options.on_missing == "fail" or not here.any():
      raise DataError(f"{said}; give --on_missing=skip to go on without them")
    print(said)
  table = table[here]
  finding.check_unique(images, table["file"])
  return finding.shuffle(table, options.order).reset_index(drop=True)


def prepare(options: argparse.Namespace) -> None:
  """Write the set that the options ask for, unless it is there.

  Raises:
    DataError: if anything is missing, bad, or there with other settings.
  """
  fit = image_files.Fit(
    options.size, options.crop, options.square, options.resize
  )
  images = finding.open_images(options.images)
  table = select_rows(options, images)
  preparing.write(
    options,
    images,
    table,
    fit,
    {"table_sha256": hashlib.sha256(table.to_csv().encode()).hexdigest()},
    what="faces",
    remedy="--square",
  )


def _box(text: str) -> tuple[int, ...] | None:
  box = tuple(int(part) for part in text.split(",") if part)
  if len(box) not in (0, 4):
    raise argparse.ArgumentTypeError("expected TOP,BOTTOM,LEFT,RIGHT")
  return box or None


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--images", required=True, help="folder or zip")
  add("--table", required=True, help="FILE, celeba:FILE or utkface")
  add("--out", help="default: faces_S in data")
  add("--size", type=int, default=120, help="pixels a side, afterwards")
  add("--crop", type=int, default=0, help="pixels off every side, before")
  add("--square", type=_box, help="TOP,BOTTOM,LEFT,RIGHT: the box to keep")
  add("--resize", choices=image_files.RESIZES, default="bilinear")
  add("--file_column", default="", help="the table's, if not `file`")
  add("--columns", type=lambda t: t.split(","), default=(), metavar="A,B")
  add("--hair", choices=("mean", "drop"), default="mean", help="CelebA: many")
  for name, default in (("--on_corrupt", "skip"), ("--on_missing", "fail")):
    add(name, choices=("skip", "fail"), default=default)
  add(
    "--order",
    choices=("hash", "file"),
    default="hash",
    help="of the rows: by a digest of the file name, or as the table has them",
  )
  add("--workers", type=int, default=2)
  add("--force", action="store_true", help="replace what is in --out")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Prepare the set; return 0, or 1 after saying what failed."""
  options = _parser().parse_args(argv)
  if options.out is None:
    options.out = root() / f"faces_{options.size}"
  return preparing.run(prepare, options)


if __name__ == "__main__":
  sys.exit(main())
