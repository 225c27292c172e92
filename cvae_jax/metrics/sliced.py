"""The sliced Wasserstein distance of two sets of images (Rabin et al. 2011)."""

import numpy as np
from numpy.typing import NDArray

ROWS = 500
DIRECTIONS = 64  # images and directions at once


def distance(
  images: NDArray, others: NDArray, directions: int = 512, seed: int = 0
) -> float:
  """Return the mean over random directions of W₁ between the projections.

  The directions are unit vectors in pixel space. Each call draws the same ones
  from `seed`. The unit is a pixel value in [0, 1]; uint8 images are scaled to
  it. Two draws of the same set have a distance above 0, so report this floor
  together with the distance.

  Args:
    images: [N, …]; others: [N, …], as many and of the same shape.

  Raises:
    ValueError: the sets differ in number or shape.
  """
  if images.shape != others.shape or not len(images):
    raise ValueError(
      f"expected two sets of as many images of one shape; found "
      f"{images.shape} and {others.shape}"
    )
  a, b = (quantiles(x, directions, seed) for x in (images, others))
  return quantile_distance(a, b)


def quantiles(
  images: NDArray, directions: int = 512, seed: int = 0
) -> NDArray[np.float32]:
  """Return the projections of images [N, …] in order: [N, directions].

  `quantile_distance` needs nothing else of a set. So if many sets are compared
  with one set, its quantiles are computed only once.
  """
  generator = np.random.default_rng(seed)
  size = int(np.prod(images.shape[1:]))
  parts = []
  for start in range(0, directions, DIRECTIONS):
    count = min(DIRECTIONS, directions - start)
    along = generator.standard_normal((size, count), np.float32)
    along /= np.linalg.norm(along, axis=0)
    parts.append(np.sort(_project(images, along), axis=0))
  return np.concatenate(parts, axis=1)


def quantile_distance(a: NDArray, b: NDArray) -> float:
  """Return the distance of two sets by their quantiles, both [N, K]."""
  return float(np.abs(a - b).mean(dtype=np.float64))


def _project(images: NDArray, along: NDArray) -> NDArray:
  """Project images [N, …] onto directions [D, K]: [N, K]."""
  scale = np.float32(255.0 if images.dtype == np.uint8 else 1.0)
  parts = [
    images[i : i + ROWS].reshape(-1, len(along)).astype(np.float32) @ along
    for i in range(0, len(images), ROWS)
  ]
  return np.concatenate(parts) / scale
