"""Codes in the plane as a picture: a dot a digit, coloured by its class."""

import numpy as np
from numpy.typing import NDArray

SIDE = 480
DOT = 3
MARGIN = 1.05  # pixels; how far beyond the outermost point
PALETTE = np.array(
  [
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
  ],
  np.uint8,
)
PRIOR = (225, 225, 225)


def scatter(z: NDArray, label: NDArray, prior: NDArray) -> NDArray[np.uint8]:
  """Draw codes [N, 2] over draws of the prior [M, 2]: [SIDE, SIDE, 3].

  Both axes reach as far as the prior does; codes beyond it lie on the edge.
  The first axis goes right, the second up.
  """
  picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
  reach = MARGIN * np.abs(prior).max()
  _dots(picture, prior / reach, np.broadcast_to(PRIOR, (len(prior), 3)))
  _dots(picture, z / reach, PALETTE[label])
  return picture


def _dots(picture: NDArray, z: NDArray, colours: NDArray) -> None:
  """Put dots at z [N, 2] in [−1, 1] onto a picture."""
  last = SIDE - DOT
  place = np.clip(np.rint((z + 1.0) / 2.0 * last), 0, last).astype(int)
  for right in range(DOT):
    for down in range(DOT):
      picture[last - place[:, 1] + down, place[:, 0] + right] = colours
