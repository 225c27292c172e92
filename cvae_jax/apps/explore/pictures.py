"""Images of requests: draws, a plane of two latents, a grid of conditions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.apps.explore.opened import Opened, example_condition
from cvae_jax.apps.explore.request import COUNT, Request, first
from cvae_jax.runs import RunError

GRID = 5  # settings of a number in a grid
REACH = 0.8  # of a latent's span, in a plane


class Drawn(NamedTuple):
  """Images [COUNT, H, W, C] in [0, 1], and their latents [COUNT, Z]."""

  images: NDArray
  z: NDArray


class Sheet(NamedTuple):
  """Images [R, P, H, W, C] in [0, 1], and what rows and columns are."""

  images: NDArray
  rows: list
  columns: list


def draw(opened: Opened, request: Request) -> Drawn:
  """Draw a request's images.

  Without latents set by hand they are those of
  run.sample(values, seed=seed, count=COUNT).
  """
  z = latents(opened, request)
  images = opened.run.guided(z, condition(opened, request), request.guidance)
  return Drawn(images, z)


def warm_up(opened: Opened) -> None:
  """Compile what the page will ask for, so that its first answer is quick."""
  if opened.colours:
    return
  request = first(opened)
  draw(opened, request)
  if len(opened.latents) > 1:
    plane(opened, request, *opened.latents[:2], plane_steps(opened))


def latents(opened: Opened, request: Request) -> NDArray:
  """Return a request's latents [COUNT, Z], those set by hand in place."""
  z = np.array(opened.run.prior(COUNT, request.seed))
  for latent, value in request.moved.items():
    z[:, latent] = value
  return z


def condition(opened: Opened, request: Request) -> NDArray:
  """Return a request's condition vectors [COUNT, A]."""
  if not opened.attributes:
    return np.repeat(example_condition(opened.run), COUNT, axis=0)
  return opened.run.request(dict(request.values), COUNT).vectors


def plane(
  opened: Opened, request: Request, across: int, up: int, steps: int
) -> Sheet:
  """Move two latents of the picture over their spans: [steps, steps, …].

  The first latent grows to the right, the second upwards.

  Raises:
    RunError: the two are one.
  """
  if across == up:
    raise RunError("choose two different latents")
  columns = latent_values(opened, across, steps)
  rows = latent_values(opened, up, steps)[::-1]
  z = latents(opened, request)[request.pick]
  z = np.tile(z, (steps, steps, 1))
  z[..., across] = columns[None, :]
  z[..., up] = rows[:, None]
  one = condition(opened, request)[request.pick][None]
  images = opened.run.guided(
    z.reshape(steps * steps, -1), one, request.guidance
  )
  images = images.reshape(steps, steps, *images.shape[1:])
  return Sheet(images, rows.tolist(), columns.tolist())


def plane_steps(opened: Opened) -> int:
  """Return how many pictures a side a plane has: fewer of larger ones."""
  side = max(opened.shape[:2])
  return 11 if side <= 32 else 7 if side <= 64 else 5


def grid(opened: Opened, request: Request, down: str, across: str) -> Sheet:
  """Ask for every pair of settings of two conditions, with one latent.

  Raises:
    RunError: the two are one, or there is none of that name.
  """
  if down == across:
    raise RunError("choose two different conditions")
  conditions = opened.run.conditions
  rows = conditions.attribute(down).settings(GRID)
  columns = conditions.attribute(across).settings(GRID)
  one = condition(opened, request)[request.pick][None]
  vectors = [
    conditions.fill(one, {down: row, across: column})
    for row in rows
    for column in columns
  ]
  z = latents(opened, request)[request.pick][None]
  images = opened.run.guided(z, np.concatenate(vectors), request.guidance)
  images = images.reshape(len(rows), len(columns), *images.shape[1:])
  name = conditions.attribute
  return Sheet(
    images,
    [name(down).text(value) for value in rows],
    [name(across).text(value) for value in columns],
  )


def draws(opened: Opened, request: Request, across: str) -> Sheet:
  """Ask for every setting of one condition, a row for each of five draws."""
  conditions = opened.run.conditions
  attribute = conditions.attribute(across)
  columns = attribute.settings(GRID)
  count = len(columns)
  one = condition(opened, request)[request.pick][None]
  vectors = [conditions.fill(one, {across: value}) for value in columns]
  z = latents(opened, request)[:GRID].repeat(count, axis=0)
  shown = np.tile(np.concatenate(vectors), (GRID, 1))
  images = opened.run.guided(z, shown, request.guidance)
  images = images.reshape(GRID, count, *images.shape[1:])
  rows = [f"draw {i + 1}" for i in range(GRID)]
  return Sheet(images, rows, [attribute.text(value) for value in columns])


def latent_values(opened: Opened, latent: int, steps: int) -> NDArray:
  """Return the values [steps] of a latent in a plane."""
  low, high = opened.spans[latent]
  middle = (low + high) / 2
  reach = REACH * (high - low) / 2
  return np.linspace(middle - reach, middle + reach, steps)
