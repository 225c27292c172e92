"""Bring a user's picture to the size and form that a run reads."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvae_jax import data
from cvae_jax.apps.photo import PhotoError, digit_from_photo
from cvae_jax.data import DataError
from cvae_jax.data.files import decoding, image_files, prepared
from cvae_jax.host import channels
from cvae_jax.host.files import DamagedFile, read_json
from cvae_jax.runs import Run, RunError

KEPT = 0.9  # share of a picture; if a cut leaves less, the user is told


def find_fit(run: Run) -> str:
  """Return how the run's training images were fitted: crop, squash or pad.

  It is crop of a photo of a face or a digit, and where the prepared set is not
  on this machine or was cut by a box.
  """
  if run.config.data.name in ("digits", "faces"):
    return "crop"
  mark = _read_mark(run)
  if mark.get("pad"):
    return "pad"
  cut = any(mark.get(key) for key in ("middle", "crop", "square"))
  return "squash" if "resize" in mark and not cut else "crop"


def find_white(run: Run) -> float:
  """Return which sample of more than 8 bits was white in training; 0: any."""
  return float(_read_mark(run).get("white", 0.0))


def describe_fit(run: Run, path: Path, how: str | None = None) -> str:
  """Say how a picture of another shape is fitted, if a user should know it.

  Args:
    run: a run that encodes images.
    path: the picture's file.
    how: crop, squash or pad, if the user has said it.

  Returns:
    "" if nothing of the picture is distorted, or cut off or added.
  """
  used = how or find_fit(run)
  if used == "crop":
    return _describe_cut(run, path)
  height, width = run.system.columns["image"][:2]
  own = decoding.read(path)
  if how or not image_files.Fit(height, width=width).distorts(*own.size[::-1]):
    return ""
  return (
    f"{path.name} is {own.height}×{own.width} pixels and is fitted by "
    f"{used}, as the training images were; --fit says another way"
  )


def _describe_cut(run: Run, path: Path) -> str:
  """Say what a cut takes away from a picture; "" if it is hardly anything."""
  height, width = run.system.columns["image"][:2]
  own = decoding.read(path)
  top, bottom, left, right = image_files.middle(
    own.height, own.width, (height, width)
  )
  if (bottom - top) * (right - left) >= KEPT * own.height * own.width:
    return ""
  return (
    f"{path.name} is {own.height}×{own.width} pixels, of which the middle "
    f"{bottom - top}×{right - left} are used; --fit=squash or pad takes all, "
    "as prepare images --fit did with the training images"
  )


def read(
  run: Run,
  path: Path,
  square: tuple[int, int, int, int] | None = None,
  crop: int = 0,
  how: str | None = None,
) -> NDArray[np.uint8]:
  """Read a picture's file as a run takes it: uint8 [H, W, C].

  Args:
    run: a run that encodes images.
    path: the file.
    square: of a run on faces, the box that is kept: top, bottom, left, right.
    crop: of a run on faces, pixels that go off every side.
    how: crop, squash or pad, see `fit`; of digits crop alone.

  Raises:
    DataError: it is no whole image, or too small for the crop or the box.
    PhotoError: the run is on digits, and there is not one digit in it.
    RunError: a box or a crop is given for a run on other data or beside
      squash or pad, or one of these for a run on digits.
  """
  name = run.config.data.name
  how = how or find_fit(run)
  if name == "digits" and how != "crop":
    raise RunError(
      f"--fit={how} is not for runs on digits: the digit is found in the "
      "picture and fitted as MNIST's are; leave it out"
    )
  if name == "faces" and how == "crop":
    return image_files.read_photo(path, _fit_of_faces(run, square, crop))
  if name == "faces" and (square or crop):
    raise RunError(
      f"--fit={how} takes the whole photo, --square and --crop a part of it; "
      "give one of them"
    )
  if square or crop:
    raise RunError(
      "--square and --crop are for runs on faces; others take the largest "
      "middle part, or --fit=squash or pad: cut the picture first"
    )
  return fit(run, decoding.read(path, white=find_white(run)), how)


def fit(
  run: Run, picture: Image.Image, how: str | None = None
) -> NDArray[np.uint8]:
  """Bring a picture to what a run reads, uint8 [H, W, C].

  A run on digits gets the one digit of the picture, white on black. Any other
  run gets with "crop" the largest part in the middle, with "squash" the whole
  picture, distorted, with "pad" the whole picture, black beside it. Without
  `how` it is done as with the training images, see `find_fit`. Pixels are
  averaged as those of the training images were.

  Raises:
    PhotoError: there is not one digit in it.
  """
  if run.config.data.name == "digits":
    return digit_from_photo(picture)
  how = how or find_fit(run)
  height, width, depth = run.system.columns["image"]
  if depth not in channels.PLAIN:
    raise PhotoError(
      f"{run.folder} is of images of {depth} channels, and a picture has 1 or "
      "3: from Python, run.encode(images) takes arrays of all channels"
    )
  if run.config.data.name == "faces":  # bilinear resizing would skip pixels
    sides = [picture.width // (2 * width), picture.height // (2 * height)]
    if how != "squash":
      sides = [max(sides) if how == "pad" else min(sides)] * 2
    picture = picture.reduce([max(1, side) for side in sides])
  fitted = image_files.Fit(
    height,
    resize=_find_resize(run, "antialias"),
    middle=how == "crop",
    width=width,
    pad=how == "pad",
    grey=depth == 1,
  )
  return fitted(decoding.lay_on_white(picture))


def _fit_of_faces(run: Run, square, crop: int) -> image_files.Fit:
  """Return how a photo is cut for a run on faces."""
  config = run.config.data
  resize = _find_resize(run, "bilinear")
  return image_files.Fit(
    config.image_shape[0], crop, square, resize, white=find_white(run)
  )


def _find_resize(run: Run, otherwise: str) -> str:
  """Return how the run's prepared set was resized, if it is on this machine."""
  return _read_mark(run).get("resize", otherwise)


def _read_mark(run: Run) -> dict[str, Any]:
  """Return how the run's prepared set was made; {} if it is not here."""
  config = run.config.data
  source = data.source(config.name)
  if getattr(config, "source", "prepared") != "prepared":
    return {}  # a set that lies where it would be is another one's
  if not hasattr(source, "folder"):
    return {}
  with contextlib.suppress(DataError, DamagedFile):  # a run from elsewhere
    mark = source.folder(config) / prepared.MARK
    return read_json(mark, dict, "prepare it again")
  return {}
