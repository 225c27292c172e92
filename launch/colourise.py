"""Colour a photo of any size, or measure a run on its held-out photos.

With --image it writes <workdir>/coloured/<name>_<t>.png for each variant, and
<name>.png with the grey photo, the variants and the truth. The name of a.jpg is
"a.jpg", and that of a.png is "a". Without --image it colours the held-out
photos, and prints a table that compares the colours with the true ones.
"""

import json
from pathlib import Path

from absl import flags

from . import command, run_flags

_IMAGE = flags.DEFINE_string("image", None, "A photo, grey or coloured.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/colour", "A colouring run.")
_OUT = flags.DEFINE_string("out", None, "Folder; default <workdir>/coloured.")
_VARIANTS = flags.DEFINE_integer(
  "variants", 5, "How many variants to draw.", lower_bound=1
)
_SEED = command.define_seed("Seed of the latents.")
_FAITHFUL = flags.DEFINE_bool(
  "faithful",
  False,
  "Colour as the source did: at 112 x 112, with --smoothing.",
)
_SMOOTHING = flags.DEFINE_enum(
  "smoothing",
  "hue",
  ["hue", "rgb"],
  "With --faithful: hue averages angles, as models 1 to 3 did, and errs near "
  "red; rgb is the source's own correction.",
)


def main(_: list[str]) -> None:
  """Colour one photo, or score the held-out ones."""
  from cvae_jax.apps import colourise as photo
  from cvae_jax.host import images

  if _FAITHFUL.value and _IMAGE.value is None:
    raise ValueError(
      "--faithful colours a photo as the source did, and the held-out photos "
      "are scored without; give --image too"
    )
  folder = command.path(_OUT, run_flags.outputs(_WORKDIR) / "coloured")
  if folder.exists() and not folder.is_dir():
    raise ValueError(f"--out is a folder; {folder} is a file")
  image = None if _IMAGE.value is None else command.path(_IMAGE)
  paths = _paths(folder, image) if image else []
  for path in paths:
    images.check_output(path, image)
  run = run_flags.load(_WORKDIR)
  photo.check(run)
  if line := photo.caution(run):
    print(line)
  if image is None:
    _score(run, folder)
  else:
    _colour(run, image, paths)


def _score(run, folder: Path) -> None:
  """Colour the held-out photos, and write and print what they are worth."""
  from cvae_jax.host import images
  from cvae_jax.host.files import write_atomically
  from cvae_jax.measures import colour

  if _VARIANTS.value < 2:
    raise ValueError(
      f"--variants={_VARIANTS.value}: the variety of held-out photos is that "
      "of two variants or more"
    )
  scores, sheets = colour.score(run, _VARIANTS.value, _SEED.value)
  write_atomically(folder / "scores.json", json.dumps(scores, indent=2))
  images.save_grid(folder / "held_out.png", sheets, scale=1)
  print(colour.table(scores))
  print(f"wrote {folder / 'scores.json'}, {folder / 'held_out.png'}")


def _colour(run, image: Path, paths: list[Path]) -> None:
  """Colour one photo and write its pictures."""
  from cvae_jax.apps import colourise as photo
  from cvae_jax.host import images

  coloured = photo.colourise(
    run,
    photo.read(image),
    _VARIANTS.value,
    _SEED.value,
    _SMOOTHING.value if _FAITHFUL.value else "",
  )
  sheet, *variants = paths
  for path, variant in zip(variants, coloured.variants, strict=True):
    images.save_picture(path, variant)
  images.save_grid(sheet, photo.sheet(coloured), scale=1)
  print(f"wrote {sheet} and {len(variants)} variants")


def _paths(folder: Path, image: Path) -> list[Path]:
  """Name the sheet's file, then each variant's.

  Of a photo that is no PNG the name keeps the ending, so that a.jpg and a.png
  in one folder have outputs of their own.
  """
  name = image.stem if image.suffix.lower() == ".png" else image.name
  variants = [folder / f"{name}_{t}.png" for t in range(_VARIANTS.value)]
  return [folder / f"{name}.png", *variants]


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, [])
