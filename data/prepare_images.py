r"""Turn any images and what is known of them into a training set.

    python data/prepare_images.py --images=FOLDER_OF_CLASSES --out=data/mine
    python data/prepare_images.py --images=photos.zip --table=labels.csv \
      --size=64 --kind "size=number,grade=ordinal:low<mid<high" --out=data/mine
    python data/prepare_images.py --preset=faces --images=faces.zip \
      --table=attributes.csv
    python data/prepare_images.py --preset=photos --images=photos.zip

A set that is there with the same settings is left as it is. What --images may
be and what a set holds is described in docs/own_data.md, faces and photos in
data/README.md.
"""

import argparse
import sys
from collections.abc import Sequence

from cvae_jax.data import DataError
from cvae_jax.data.files import image_files, preparing, presets


def _box(text: str) -> tuple[int, ...] | None:
  box = tuple(int(part) for part in text.split(",") if part)
  if len(box) not in (0, 4):
    raise argparse.ArgumentTypeError("expected TOP,BOTTOM,LEFT,RIGHT")
  return box or None


def _shape(text: str) -> str:
  fits = {"whole": "squash", "middle": "crop"}
  if text not in fits:
    raise argparse.ArgumentTypeError(f"expected whole or middle, not {text!r}")
  return fits[text]


_ON_ERROR = {"choices": ("skip", "fail")}
_OPTIONS = {
  "images": {"help": "folder, zip, tar, or file of arrays", "required": True},
  "out": {"help": "the folder to write; faces_S, photos_S if not given"},
  "size": {"help": "pixels, afterwards: 64, or 48x80 (H x W)"},
  "fit": {"choices": presets.FITS, "help": "how another shape gets there"},
  "colour": {"choices": presets.COLOURS, "help": "keep: grey if all are"},
  "crop": {"type": int, "help": "pixels off every side, before"},
  "square": {"type": _box, "help": "TOP,BOTTOM,LEFT,RIGHT: the box to keep"},
  "white": {"type": float, "help": "above 8 bits: what is white, as in 4095"},
  "resize": {"choices": image_files.RESIZES, "help": "how pixels are averaged"},
  "table": {"help": "CSV, TSV, JSONL or Parquet; faces: celeba:FILE, utkface"},
  "file_column": {"help": "the table's, that names the images"},
  "order": {
    "choices": presets.ORDERS,
    "help": "of rows: by --seed, by a digest of the file name, or as they come",
  },
  "transpose": {"action": "store_true", "help": "arrays only: EMNIST's"},
  "kind": {"help": "NAME=KIND,…; else found, and printed"},
  "folders": {"help": "what levels of folders are: shape,colour"},
  "split": {"help": "shares 80,10,10, or a column that says it"},
  "group": {"help": "a column whose equals stay in one split"},
  "seed": {"type": int, "help": "of the split and the order"},
  "stratify": {"choices": ("yes", "no"), "help": "each class in each split"},
  "columns": {"type": lambda t: t.split(","), "help": "that a CSV must have"},
  "hair": {"choices": ("mean", "drop"), "help": "CelebA: of several colours"},
  "on_corrupt": _ON_ERROR | {"help": "images that cannot be read"},
  "on_missing": _ON_ERROR | {"help": "rows of a table without an image"},
  "on_grey": {"choices": ("skip", "keep"), "help": "images without colour"},
  "workers": {"type": int, "help": "threads that decode"},
  "force": {"action": "store_true", "help": "replace what is in --out"},
}


def _help(name: str, text: str) -> str:
  """Return an option's help, with the defaults of the presets that have it."""
  found = presets.defaults_of(name)
  if len(found) < len(presets.PRESETS):
    text = f"{' and '.join(found)}: {text}"
  said = {preset: d for preset, d in found.items() if d}
  if len({*said.values()}) == 1 and len(said) == len(found):
    return f"{text} (default: {next(iter(said.values()))})"
  each = ", ".join(f"{preset} {d}" for preset, d in said.items())
  return f"{text} (default: {each})" if said else text


def _parser(preset: str) -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    description=__doc__.partition("\n")[0],
    usage="%(prog)s --images=PLACE [OPTION …]; --help lists the options",
    argument_default=argparse.SUPPRESS,  # presets.complete has them
  )
  add = parser.add_argument
  add(
    "--preset",
    choices=presets.PRESETS,
    default=preset,
    help=f"the defaults, and what a set holds (default: {preset})",
  )
  for name, how in _OPTIONS.items():
    text = _help(name, how["help"])
    add(f"--{name}", **how | {"help": text})
  # Photos' older name for --fit: whole or middle.
  add("--shape", dest="fit", type=_shape, help=argparse.SUPPRESS)
  return parser


def main(argv: Sequence[str] | None = None, preset: str = "images") -> int:
  """Prepare the set; return 0, or 1 after saying what failed."""
  given = vars(_parser(preset).parse_args(argv))
  try:
    options = presets.complete(given.pop("preset"), given)
  except DataError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return preparing.run(presets.prepare, options)


if __name__ == "__main__":
  sys.exit(main())
