"""The presets of a preparation: images with a schema, faces, or photos.

A preset is the defaults of its options and a plan: the rows, their order and
what only its sets are known by. All else is the same for each.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from cvae_jax.data import DataError, root
from cvae_jax.data.files import (
  face_tables,
  finding,
  image_files,
  matching,
  opening,
  preparation,
  preparing,
)
from cvae_jax.data.files.preparing import Plan
from cvae_jax.host.console import say
from cvae_jax.host.wording import shorten

FITS = ("squash", "crop", "pad")
COLOURS = ("keep", "grey", "rgb")
ORDERS = ("split", "hash", "file")


class Preset(NamedTuple):
  """What a preset's sets hold, and its options beside those of all."""

  plan: Callable[[Any], Plan]
  defaults: dict[str, Any]


def complete(name: str, given: Mapping[str, Any]) -> types.SimpleNamespace:
  """Return all options: those given and, for the others, the defaults.

  Raises:
    DataError: if one is missing, or is another preset's.
  """
  for option in given:
    if name not in (having := defaults_of(option)):
      raise DataError(
        f"--{option} is an option of --preset={' and '.join(having)}; this is "
        f"--preset={name}"
      )
  defaults = {"colour": "rgb"} | _SHARED | PRESETS[name].defaults
  options = types.SimpleNamespace(preset=name, **(defaults | dict(given)))
  if options.out is None:
    if name == "images":
      raise DataError("--out is missing: the folder to write, as in data/mine")
    options.out = root() / f"{name}_{options.size}"
  return options


def defaults_of(option: str) -> dict[str, Any]:
  """Return the presets that have an option, and its default in each."""
  found = {name: _SHARED | preset.defaults for name, preset in PRESETS.items()}
  return {name: d[option] for name, d in found.items() if option in d}


def prepare(options: Any) -> None:
  """Write the set that the options ask for, unless it is there.

  Raises:
    DataError: if anything is missing, bad, or there with other settings.
  """
  plan = PRESETS[options.preset].plan(options)
  preparing.write(options, plan)
  if plan.said:
    say(plan.said)


def _plan_faces(options: Any) -> Plan:
  """Take the rows of a table of faces that have conditions and an image."""
  if not options.table:
    raise DataError("--table is missing: FILE, celeba:FILE or utkface")
  fit = _square_fit(options)
  images = opening.open_images(options)
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
    names = shorten(left_out)
    say(f"{len(left_out):,} rows left out: {names}; first: {first}")
  table = matching.keep_present(
    images, table, options.table, options.on_missing
  )
  table = finding.shuffle(table, options.order).reset_index(drop=True)
  own = {"table_sha256": preparing.sha256(table.to_csv())}
  return Plan(images, table, fit, own)


def _plan_photos(options: Any) -> Plan:
  """Take all photos, each once, in the order of their file names."""
  fit = _square_fit(options)
  images = opening.open_images(options)
  paths = {*images.where.values()}
  files = sorted(paths, key=lambda path: (path.rpartition("/")[2], path))
  table = pd.DataFrame({"file": files})
  table = finding.shuffle(table, options.order).reset_index(drop=True)
  own = {
    "on_grey": options.on_grey,
    "files_sha256": preparing.sha256("\n".join(table["file"])),
  }
  return Plan(images, table, fit, own)


def _square_fit(options: Any) -> image_files.Fit:
  fit = preparing.make_fit(options)
  if fit.width:
    raise DataError(
      f"--size={options.size}: {options.preset} are square, as in --size=64"
    )
  if options.order == "split":
    raise DataError(
      f"--order=split is for --preset=images; {options.preset} are split when "
      "training starts. Give --order=hash or --order=file"
    )
  return fit


_SHARED = {
  **{"images": None, "out": None, "workers": 2, "force": False},
  **{"fit": "squash", "crop": 0, "square": None, "transpose": False},
  **{"on_corrupt": "skip", "on_grey": "keep", "white": 0.0},
}
_TABLE = {"table": "", "file_column": "", "on_missing": "fail"}
_OF_IMAGES = {
  **{"size": "64", "resize": "antialias", "colour": "keep"},
  **{"kind": "", "folders": ""},
  **{"split": "", "group": "", "stratify": "yes", "seed": 0, "order": "split"},
}
_AS_PUBLISHED = {"resize": "bilinear", "order": "hash"}
_OF_FACES = {"size": "120", "hair": "mean", "columns": ()}
_OF_PHOTOS = {"size": "112", "on_grey": "skip"}
PRESETS = {
  "images": Preset(preparation.plan, _TABLE | _OF_IMAGES),
  "faces": Preset(_plan_faces, _TABLE | _AS_PUBLISHED | _OF_FACES),
  "photos": Preset(_plan_photos, _AS_PUBLISHED | _OF_PHOTOS),
}
