"""A photo of one's own: read, reconstructed, changed, and a walk to another."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cvae_jax.apps import editing
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.apps.explore.request import first
from cvae_jax.apps.photo import digit_from_photo
from cvae_jax.data.files import decoding, image_files
from cvae_jax.loop import walks
from cvae_jax.runs import RunError

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
BYTES = 10 << 20  # of an upload, at most
PIXELS = 40_000_000
SMALL = 32  # pixels a side up to which decoding takes next to no time


class Search(NamedTuple):
  """How what a photo shows is looked for."""

  settings: int  # that are tried, at most
  numbers: int  # settings of a number among them
  draws: int  # of the latents, in each


OF_SMALL = Search(500, 5, 4)
OF_LARGE = Search(100, 3, 1)
STEPS = 8  # of a walk


def decode(content: bytes) -> Image.Image:
  """Check an upload's size and kind and return its picture, upright.

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
  return decoding.decode(content)


def fit(opened: Opened, picture: Image.Image) -> NDArray[np.uint8]:
  """Bring a picture to what the run reads, uint8 [H, W, C].

  A run on digits gets the one digit of the picture, white on black; another
  one the largest middle part.

  Raises:
    PhotoError: there is not one digit in it.
  """
  if opened.run.config.data.name == "digits":
    return digit_from_photo(picture)
  height, width, channels = opened.shape
  rgb = decoding.on_white(picture)
  top, bottom, left, right = image_files.middle(*rgb.shape[:2], (height, width))
  part = Image.fromarray(rgb[top:bottom, left:right])
  if channels == 1:
    part = part.convert("L")
  resized = part.resize((width, height), Image.Resampling.BOX)
  return np.asarray(resized).reshape(height, width, channels)


def guess(opened: Opened, image: NDArray) -> dict[str, Any] | None:
  """Return the condition under which the run explains an image best.

  None where it cannot be found so: the run has no likelihood, is asked for
  nothing, or for too much.
  """
  if not guesses(opened):
    return None
  shown = _settings(opened)
  settings = [
    dict(zip(shown, values, strict=True))
    for values in itertools.product(*shown.values())
  ]
  conditions = opened.run.conditions
  vectors = np.concatenate([conditions.encode(one) for one in settings])
  elbo = editing.elbo_of(opened.run, image, vectors, _search(opened).draws)
  return settings[int(elbo.argmax())]


def guesses(opened: Opened) -> bool:
  """Tell whether `guess` can find what an image shows."""
  if opened.run.system.nats is None or not opened.attributes:
    return False
  count = math.prod(map(len, _settings(opened).values()))
  return count <= _search(opened).settings


def _settings(opened: Opened) -> dict[str, list]:
  numbers = _search(opened).numbers
  return {a.name: a.settings(numbers) for a in opened.attributes}


def _search(opened: Opened) -> Search:
  return OF_SMALL if max(opened.shape[:2]) <= SMALL else OF_LARGE


def edit(
  opened: Opened,
  image: NDArray,
  own: Mapping[str, Any],
  *wanted: Mapping[str, Any],
) -> NDArray:
  """Return an image's reconstruction and how it might be: [1 + N, H, W, C].

  Args:
    opened: the run.
    image: uint8 [H, W, C].
    own: what the image shows, {condition: value}.
    wanted: what it is to show, N times.
  """
  vectors = np.concatenate([vector(opened, one) for one in (own, *wanted)])
  z = opened.run.encode(image[None], vectors[:1]).mean
  decoded = opened.run.decode(np.repeat(z, len(vectors), axis=0), vectors)
  return np.clip(decoded, 0, 1)


def walk(
  opened: Opened,
  images: tuple[NDArray, NDArray],
  conditions: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> NDArray:
  """Walk from one image to another: [STEPS, H, W, C].

  The latents and the conditions change together, each on a straight line.

  Args:
    opened: the run.
    images: uint8 [H, W, C] each.
    conditions: what each shows.
  """
  run = opened.run
  ends = np.concatenate([vector(opened, one) for one in conditions])
  a, b = run.encode(np.stack(images), ends).mean
  z = walks.line(a, b, STEPS)
  return np.clip(run.decode(z, walks.line(*ends, STEPS)), 0, 1)


def warm(opened: Opened) -> None:
  """Compile what a picture is answered with."""
  if opened.colours or not opened.reads_photos:
    return
  image = np.zeros(opened.shape, np.uint8)
  own = guess(opened, image) or first(opened).values
  edit(opened, image, own, own)
  walk(opened, (image, image), (own, own))


def vector(opened: Opened, values: Mapping[str, Any]) -> NDArray:
  """Return the condition vector [1, A] of values, or the empty one."""
  if not opened.attributes:
    width = opened.run.system.columns.get("condition", (0,))[0]
    return np.zeros((1, width), np.float32)
  return opened.run.conditions.encode(dict(values))


def _kind(content: bytes) -> tuple[str, int]:
  """Return what Pillow takes a file for, and its pixels; "" where nothing."""
  import io

  try:
    with Image.open(io.BytesIO(content)) as picture:
      return picture.format or "", math.prod(picture.size)
  except Image.DecompressionBombError:
    return KINDS[0], 10 * PIXELS
  except Exception:  # each of Pillow's decoders has its own kinds
    return "", 0
