"""Colour photos without a network: the least that a model must surpass."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cvae_jax.method import cells

NEIGHBOURS = 256


class Baselines(NamedTuple):
  """The training cells of photos, by which other photos are coloured."""

  looks: KDTree  # [M, 3]: grey, row and column of each training cell
  colours: NDArray  # [M, 2]

  def mean_colour(self, photo: NDArray) -> NDArray:
    """Return every cell the mean training colour: [14, 14, 2]."""
    shape = (cells.GRID, cells.GRID, 2)
    return np.broadcast_to(self.colours.mean(axis=0), shape)

  def nearest_grey(self, photo: NDArray) -> NDArray:
    """Regress on grey: a cell gets the mean colour of its neighbours.

    They are the NEIGHBOURS training cells nearest in mean grey and position.
    Nearness of whole grey windows, pixel by pixel, was worse than no
    regression at all (docs/colour.md).
    """
    looks, _ = describe(photo)
    _, near = self.looks.query(looks, NEIGHBOURS)
    maps = self.colours[near].mean(axis=1)
    return maps.reshape(cells.GRID, cells.GRID, 2)


def fit(photos: NDArray) -> Baselines:
  """Take every cell of training photos uint8 [N, SIDE, SIDE, 3]."""
  looks, colours = zip(*(describe(photo) for photo in photos), strict=True)
  return Baselines(KDTree(np.concatenate(looks)), np.concatenate(colours))


def describe(photo: NDArray) -> tuple[NDArray, NDArray]:
  """Return (grey, row, column) [196, 3] of a photo's cells, and their colour.

  Each of the three is in units of its spread over all cells, roughly: a
  quarter of the range of grey, 0.3 of the side.
  """
  return tuple(map(np.asarray, _describe(photo)))


@jax.jit
def _describe(photo):
  cell = jnp.arange(cells.CELLS)
  shape = (cells.GRID, cells.CELL, cells.GRID, cells.CELL)
  grey = (cells.grey(photo) / 255.0).reshape(shape).mean(axis=(1, 3))
  looks = [grey.reshape(-1, 1) / 0.25, cells.positions(cell, 2) / 0.3]
  return jnp.concatenate(looks, axis=1), true_map(photo).reshape(-1, 2)


@jax.jit
def true_map(photo):
  """Return the true colours [14, 14, 2] of a photo uint8 [SIDE, SIDE, 3]."""
  photos = jnp.repeat(photo[None], cells.CELLS, axis=0)
  found = cells.targets(photos, jnp.arange(cells.CELLS))
  return found.reshape(cells.GRID, cells.GRID, 2)
