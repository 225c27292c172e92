"""Colour photographs that scikit-image and scikit-learn bring along.

Origins: scikit-image's are in the public domain or CC0 (astronaut: NASA;
chelsea: S. van der Walt; coffee: R. Michelson; rocket: SpaceX; motorcycle:
Middlebury stereo set; hubble_deep_field: NASA). scikit-learn's are CC BY 2.0:
china.jpg by danielbuechele, flower.jpg by vultilion, both on flickr.
"""

import importlib.util
import pathlib

import numpy as np

from cvae_jax.data import DataError
from cvae_jax.data.files import decoding, image_files

_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets/images")
_TRAIN = (
  (_SKIMAGE, "astronaut.png"),
  (_SKIMAGE, "chelsea.png"),
  (_SKIMAGE, "hubble_deep_field.jpg"),
  (_SKIMAGE, "motorcycle_left.png"),
  (_SKIMAGE, "rocket.jpg"),
  (_SKLEARN, "china.jpg"),
)
_TEST = ((_SKIMAGE, "coffee.png"), (_SKLEARN, "flower.jpg"))


def read(size: int) -> tuple[np.ndarray, np.ndarray]:
  """Read photos uint8 [N, size, size, 3]: 36 to train on, 2 held out.

  Each of six photos trains six times: whole, and the four corners and the
  middle at two thirds of its sides. Nothing of the two others is trained on.

  Raises:
    DataError: if a package is not installed or has no such photo.
  """
  fit = image_files.Fit(size)
  views = [view for photo in _TRAIN for view in _views(_read(*photo))]
  return (
    np.stack([fit(view) for view in views]),
    np.stack([fit(_read(*photo)) for photo in _TEST]),
  )


def _views(photo: np.ndarray) -> list[np.ndarray]:
  """Cut the corners and the middle, after the whole."""
  height, width = photo.shape[:2]
  h = 2 * height // 3
  w = 2 * width // 3
  top = (height - h) // 2
  left = (width - w) // 2
  corners = [(y, x) for y in (0, height - h) for x in (0, width - w)]
  cuts = [photo[y : y + h, x : x + w] for y, x in (*corners, (top, left))]
  return [photo, *cuts]


def _read(where: tuple[str, str], name: str) -> np.ndarray:
  package, folder = where
  spec = importlib.util.find_spec(package)
  if spec is None:
    names = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
    raise DataError(
      f"the default photos need {names[package]}: pip install"
      f" {names[package]}; or bring your own (data/README.md)"
    )
  path = pathlib.Path(spec.submodule_search_locations[0], folder, name)
  if not path.is_file():
    raise DataError(f"this version of {package} has no {path}; update it")
  return decoding.lay_on_white(decoding.read(path))
