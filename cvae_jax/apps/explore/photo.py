"""A photo of one's own in the browser: checked, and what it shows found."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvae_jax.apps import editing
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.request import first
from cvae_jax.data.files import decoding
from cvae_jax.runs import RunError

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
BYTES = 10 << 20  # bytes of an upload, at most
PIXELS = 40_000_000
STEPS = 8  # of a walk


def decode(content: bytes, white: float = 0.0) -> Image.Image:
  """Check an upload's size and kind and return its picture, upright.

  Args:
    content: of the file.
    white: see decoding.read.

  Raises:
    RunError: it is too large or none of KINDS.
    DataError: it is no whole image.
  """
  if len(content) > BYTES:
    raise RunError(
      f"the file has {len(content) / (1 << 20):.1f} MB; at most "
      f"{BYTES >> 20} MB are read: make the picture smaller"
    )
  kind, pixels = _kind(content)
  if kind not in KINDS:
    raise RunError(
      "the file is no picture that can be read here; give one of "
      + ", ".join(KINDS)
    )
  if pixels > PIXELS:
    raise RunError(
      f"the picture has {pixels / 1e6:.0f} megapixels; at most "
      f"{PIXELS / 1e6:.0f} are read: make it smaller"
    )
  return decoding.decode(content, white=white)


def guess(opened: Opened, image: NDArray) -> dict[str, Any] | None:
  """Return what an image shows, or None where it cannot be found quickly."""
  if not can_guess(opened):
    return None
  return editing.find(opened.run, image, editing.quick(opened.run)).values


def can_guess(opened: Opened) -> bool:
  """Tell whether `guess` can find what an image shows."""
  if not opened.attributes:
    return False
  try:
    editing.check_search(opened.run, editing.quick(opened.run))
  except RunError:
    return False
  return True


def edit(
  opened: Opened,
  image: NDArray,
  own: Mapping[str, Any],
  *wanted: Mapping[str, Any],
) -> NDArray:
  """Return an image's reconstruction and N edits of it: [1 + N, H, W, C].

  Args:
    opened: the run.
    image: uint8 [H, W, C].
    own: {condition: value} of what the image shows.
    wanted: N mappings like `own`, of what the edits should show.
  """
  vectors = [vector(opened, one) for one in wanted]
  return editing.edit(opened.run, image, vector(opened, own), vectors)


def walk(
  opened: Opened,
  images: tuple[NDArray, NDArray],
  conditions: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> NDArray:
  """Walk from one image to another: [STEPS, H, W, C]; see `editing.walk`."""
  ends = np.concatenate([vector(opened, one) for one in conditions])
  return editing.walk(opened.run, np.stack(images), ends, STEPS)


def warm_up(opened: Opened) -> None:
  """Compile the functions that answer an upload."""
  if opened.colours or not opened.reads_photos:
    return
  image = np.zeros(opened.shape, np.uint8)
  own = guess(opened, image) or first(opened).values
  edit(opened, image, own, own)
  walk(opened, (image, image), (own, own))


def vector(opened: Opened, values: Mapping[str, Any]) -> NDArray:
  """Return the condition vector [1, A] of values.

  It is zeros for a run whose pictures do not depend on the condition.
  """
  if not opened.attributes:
    return editing.blank_condition(opened.run)
  return editing.vector(opened.run, values)


def _kind(content: bytes) -> tuple[str, int]:
  """Return what Pillow takes a file for, and its pixels; "" where nothing."""
  try:
    with Image.open(io.BytesIO(content)) as picture:
      return picture.format or "", math.prod(picture.size)
  except Image.DecompressionBombError:
    return KINDS[0], 10 * PIXELS
  except Exception:  # each of Pillow's decoders has its own kinds
    return "", 0
