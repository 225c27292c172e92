"""Write a planned set: decode its images, and recognise one that is done."""

import collections
import dataclasses
import hashlib
import json
import pathlib
import re
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from cvae_jax.data import DataError
from cvae_jax.data.files import image_files, prepared, sources, streams
from cvae_jax.data.files.finding import Images
from cvae_jax.host import lock
from cvae_jax.host.console import say
from cvae_jax.host.paths import PathError, folder, local
from cvae_jax.host.wording import shorten

# The values of settings that a set does not name, as older ones.
_ABSENT = {
  **{"width": 0, "pad": False, "grey": False, "white": 0.0},
  **{"transpose": False, "on_grey": "keep"},
  **dict.fromkeys(("table_sha256", "schema_sha256", "files_sha256")),
}


class Plan(NamedTuple):
  """A set to be written.

  With `grey` it has one channel, and an image with colours is an error.
  """

  images: Images
  table: pd.DataFrame  # `file` first
  fit: image_files.Fit
  own: dict[str, Any]  # settings that other presets lack
  grey: bool = False
  beside: Mapping[str, str] = types.MappingProxyType({})  # file → its text
  said: str = ""  # a note to print at the end


# Settings that are digests: an error can only say that they differ.
_DIGESTS = {
  "table_sha256": "another table, or other columns of it",
  "schema_sha256": "other kinds of attributes",
}


def is_up_to_date(folder: pathlib.Path, settings: dict) -> bool:
  """Tell whether a folder holds the set that these settings make.

  Raises:
    DataError: if it holds one of other settings.
  """
  if not (folder / prepared.MARK).is_file():
    return False
  old = prepared.read(folder).info
  changed = []
  for key in {**settings, **_ABSENT}:
    value = settings.get(key, _ABSENT.get(key))
    # A setting that is not in _ABSENT may be younger than the set.
    found = old.get(key, _ABSENT.get(key, value))
    if found != value:
      changed.append(_DIGESTS.get(key, f"{key} {found} → {value}"))
  if changed:
    raise DataError(
      f"{folder} is prepared with other settings: {', '.join(changed)};"
      " choose another --out, or replace it with --force"
    )
  return True


def make_fit(options: Any, least: int = 1) -> image_files.Fit:
  """Make what the options say of size and shape.

  Raises:
    DataError: if they do not go together, or a side has fewer than `least`
      pixels.
  """
  match = re.fullmatch(r"(\d+)(?:[x×,](\d+))?", options.size.strip())
  sides = [int(n) for n in match.groups() if n] if match else []
  if not sides or min(sides) < least:
    raise DataError(
      f"--size={options.size}: expected the side, as in 64, or HEIGHTxWIDTH, "
      f"as in 48x80, of at least {least} pixels"
    )
  return image_files.Fit(
    sides[0],
    options.crop,
    options.square,
    options.resize,
    middle=options.fit == "crop",
    width=0 if sides[-1] == sides[0] else sides[-1],
    pad=options.fit == "pad",
    grey=options.colour == "grey",
    white=options.white,
  )


def sha256(text: str) -> str:
  """Return the digest by which a set's table is known again."""
  return hashlib.sha256(text.encode()).hexdigest()


def run(prepare: Callable, options: Any) -> int:
  """Prepare a set; return 0, or 1 after saying what failed.

  Args:
    options: a script's own; `images` and `out` are texts, or Paths.
  """
  try:
    options.images = local(options.images, "--images")
    options.out = folder(options.out, "--out")
    prepare(options)
  except (DataError, PathError, OSError, lock.FolderInUse) as error:
    say(f"error: {error}", sys.stderr)
    return 1
  return 0


def write(options: Any, plan: Plan) -> None:
  """Write a set, unless it is there.

  Args:
    options: `presets.complete` returns them.
    plan: of the set.

  Raises:
    DataError: if anything is bad, or there with other settings.
  """
  if options.workers < 1:
    raise DataError(f"--workers={options.workers}: expected 1 or more")
  settings = _settings(options, plan)
  if _is_there(options, plan, settings):
    return
  distorted: list[str] = []
  whites: list[float] = []
  start = time.perf_counter()
  with lock.hold(options.out, "preparing data"):
    # Another process may have written one before the lock was ours.
    if _is_there(options, plan, settings):
      return
    prepared.clear(options.out)
    images, describe = sources.watch(
      options.images, plan.images, plan.table["file"].tolist()
    )
    info = prepared.write(
      options.out,
      _decode(options, plan._replace(images=images), distorted, whites),
      plan.table,
      {"source": options.images.name}
      | settings
      | ({"split_column": "person"} if "person" in plan.table else {}),
      plan.beside,
      describe,
    )
  seconds = time.perf_counter() - start
  _note(distorted, plan.fit, info["equal"], options.preset)
  _note_whites(whites)
  say(
    f"{info['count']:,} {options.preset} in {options.out} "
    f"({len(info['skipped'])} left out), {seconds:.1f} s: "
    f"{len(plan.table) / seconds:,.0f} images/s"
  )


def _is_there(options: Any, plan: Plan, settings: dict) -> bool:
  """Tell whether the set is there already, and say so.

  Raises:
    DataError: if one of other settings or images is there.
  """
  if options.force or not is_up_to_date(options.out, settings):
    return False
  sources.check(
    options.out, options.images, plan.images, plan.table["file"].tolist()
  )
  say(f"already prepared: {options.out}")
  return True


def _decode(
  options: Any, plan: Plan, distorted: list[str], whites: list[float]
) -> Iterator:
  """Decode what a plan names: images, or why one is left out."""
  files = plan.table["file"].tolist()
  images = streams.decode_all(
    plan.images, files, plan.fit, options.workers, distorted, whites
  )
  images = streams.guard(images, files, options.on_corrupt == "fail")
  if options.on_grey == "skip":
    images = streams.skip_grey(images, files)
  if plan.grey:
    images = streams.keep_one_channel(images, files)
  return streams.show_progress(images, len(files), options.preset)


def _settings(options: Any, plan: Plan) -> dict[str, Any]:
  """Return what a set was made with, by which it is known again."""
  asked = {name: getattr(options, name) for name in ("transpose", "on_grey")}
  found = {
    # As it comes back from JSON, to be compared with an older set's.
    **json.loads(json.dumps(dataclasses.asdict(plan.fit))),
    "on_corrupt": options.on_corrupt,
    "order": options.order,
    **(asked | plan.own),
    "image_bytes": sum(
      plan.images.bytes[plan.images.where[name]] for name in plan.table["file"]
    ),
  }
  return {
    key: value
    for key, value in found.items()
    if key in plan.own or key not in _ABSENT or value != _ABSENT[key]
  }


def _note(distorted, fit, equal, what: str) -> None:
  """Say which images were distorted and which are equal."""
  if distorted:
    names = shorten(sorted(distorted))  # threads finish in any order
    shape = "square" if fit.shape[0] == fit.shape[1] else f"of {fit.shape[:2]}"
    say(f"note: not {shape}, so distorted (see --fit and --square): {names}")
  if equal:
    groups = [" = ".join(shorten([*names]).split(", ")) for names in equal]
    number = sum(map(len, equal))
    say(
      f"note: {number:,} {what} equal another in every pixel, so one may train"
      f" and its copy be held out: {shorten(groups)}"
    )


def _note_whites(whites: list[float]) -> None:
  """Warn where one sample means another brightness in another image."""
  counts = collections.Counter(whites)
  if len(counts) > 1:
    each = ", ".join(
      f"{white:g} in {n:,}" for white, n in sorted(counts.items())
    )
    say(
      "warning: images of more than 8 bits have different white levels "
      f"({each}), each by its own brightest sample, so that a dark image "
      f"becomes a bright one. Give one for all, as in --white={max(counts):g}"
    )
