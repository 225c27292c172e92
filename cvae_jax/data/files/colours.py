"""Which images have colours: what is left out, or stored as one channel."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import image_files
from cvae_jax.data.files.pictures import Pictures

_PEEK = 32  # images that are looked at for colour
_GREY = 2.0  # levels: below this mean of max − min an image has no colour


def is_grey(pictures: Pictures) -> bool:
  """Tell whether images have no colour, from some where they are files."""
  if pictures.grey is not None:
    return pictures.grey
  names = pictures.table["file"]
  chosen = np.linspace(0, len(names) - 1, min(_PEEK, len(names))).astype(int)
  for name in names.iloc[chosen]:
    try:
      image = image_files.decode(pictures.images.read(name))
    except (DataError, OSError):
      continue  # named when all are decoded
    if _has_colour(image):
      return False
  return True


def keep_one_channel(
  images: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass on one channel of grey images.

  Raises:
    DataError: if one has colours.
  """
  for name, image in zip(files, images, strict=True):
    if isinstance(image, str):
      yield image
      continue
    if _has_colour(image):
      raise DataError(
        f"{name} has colours, the first images that were looked at have none; "
        "give --colour=rgb, or --colour=grey to drop them"
      )
    yield image[..., :1]


def skip_grey(
  images: Iterable[np.ndarray | str], files: Sequence[str]
) -> Iterator[np.ndarray | str]:
  """Pass images on; name and leave out grey ones."""
  for name, image in zip(files, images, strict=True):
    if not isinstance(image, str):
      chroma = np.ptp(image, axis=-1).mean()
      if chroma < _GREY:
        image = f"a grey photo (mean chroma {chroma:.1f})"
        print(f"  left out: {name}: {image}; --on_grey=keep keeps it")
    yield image


def _has_colour(image: np.ndarray) -> bool:
  return bool((image[..., :1] != image[..., 1:]).any())
