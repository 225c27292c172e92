r"""Turn any images and their attributes into a training set.

    python data/prepare_images.py --images=FOLDER_OF_CLASSES --out=data/mine
    python data/prepare_images.py --images=photos.zip --table=labels.csv \
      --size=64 --kind "size=number,grade=ordinal:low<mid<high" --out=data/mine

What --images may be, how kinds are found and what a set holds is described in
docs/own_data.md. A set that is there with the same settings is left as it is.
"""

import argparse
import sys
from collections.abc import Sequence

from cvae_jax.data.files import image_files, preparation, preparing


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--images", required=True, help="folder, zip, tar, or file of arrays")
  add("--out", required=True, help="the folder to write")
  add("--table", default="", help="CSV, TSV, JSONL or Parquet, or one within")
  add("--size", default="64", help="pixels, afterwards: 64, or 48x80 (H x W)")
  add("--fit", choices=preparation.FITS, default="squash")
  add("--colour", choices=preparation.COLOURS, default="keep")
  add("--kind", default="", help="NAME=KIND,…; else found, and printed")
  add("--split", default="", help="shares 80,10,10, or a column that says it")
  add("--group", default="", help="a column whose equals stay in one split")
  add("--seed", type=int, default=0, help="of the split and the order")
  add("--stratify", choices=("yes", "no"), default="yes")
  add("--folders", default="", help="what levels of folders are: shape,colour")
  add("--file_column", default="", help="the table's; else found")
  add("--transpose", action="store_true", help="arrays only: EMNIST's")
  add("--crop", type=int, default=0, help="pixels off every side, before")
  add("--resize", choices=image_files.RESIZES, default="antialias")
  for name, default in (("--on_corrupt", "skip"), ("--on_missing", "fail")):
    add(name, choices=("skip", "fail"), default=default)
  add("--workers", type=int, default=2, help="threads that decode")
  add("--force", action="store_true", help="replace what is in --out")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Prepare the set; return 0, or 1 after saying what failed."""
  return preparing.run(preparation.prepare, _parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
