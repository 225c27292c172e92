"""Edit a picture: encode it with its own condition, decode it with another.

Its own condition is given in words, or found: it is the condition under which
the ELBO of the picture is highest. launch.edit and the explorer use this, for
runs on any data.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cvae_jax.data.conditions.attribute import STEPS, Attribute
from cvae_jax.loop.run import posteriors, walks
from cvae_jax.runs import Run, RunError, unit

SMALL = 32  # pixels a side up to which decoding takes next to no time
CLEAR = 1.0  # nats; a value that wins by less is a guess


class Search(NamedTuple):
  """How thorough the search is for what a picture shows."""

  settings: int  # settings that are tried, at most
  draws: int  # draws of the latents for each setting


PATIENT = Search(1000, 4)  # a command's
QUICK = Search(500, 4)  # while a person waits, of images up to SMALL
QUICK_OF_LARGE = Search(100, 1)


class Reading(NamedTuple):
  """What a picture shows, and how it was found, for people to read."""

  values: dict[str, Any]
  notes: tuple[str, ...] = ()


def quick(run: Run) -> Search:
  """Return the search for which a person does not wait long."""
  return QUICK if _is_small(run) else QUICK_OF_LARGE


def attributes(run: Run) -> tuple[Attribute, ...]:
  """Return the attributes that a picture can be said to show."""
  if not run.reads_condition:
    return ()
  return tuple(getattr(run.conditions, "attributes", ()))


def find(
  run: Run,
  image: NDArray,
  search: Search = PATIENT,
  seed: int = 0,
  flag: str = "condition",
) -> Reading:
  """Find the condition under which the model explains image [H, W, C] best.

  Every setting of the attributes is tried with the same noise, so that they
  differ in nothing else. The search is as good as the model's use of its
  condition. The notes say by how many nats each value won, and which values
  are guesses. An error names the flag that says what the picture shows.

  Raises:
    RunError: the run has no likelihood, or there are too many settings.
  """
  if not attributes(run):
    return Reading({})
  check_search(run, search, flag)
  shown = _trial_values(run)
  settings = list(itertools.product(*shown.values()))
  columns = zip(*settings, strict=True)
  table = dict(zip(shown, map(list, columns), strict=True))
  condition = run.conditions.encode(table)
  elbo = estimate_elbo(run, image, condition, search.draws, seed)
  best = int(elbo.argmax())
  values = {name: column[best] for name, column in table.items()}
  notes = [f"condition by the ELBO: {elbo[best]:.1f} nats, best of {len(elbo)}"]
  for name, column in table.items():
    others = elbo[[value != column[best] for value in column]]
    if len(others):
      lead = elbo[best] - others.max()
      guess = " (a guess)" if lead < CLEAR else ""
      said = run.conditions.attribute(name).text(column[best])
      notes.append(f"  {said}, ahead by {lead:.1f}{guess}")
  return Reading(values, tuple(notes))


def check_search(
  run: Run, search: Search = PATIENT, flag: str = "condition"
) -> None:
  """Check that what a picture shows can be found.

  Raises:
    RunError: the run has no likelihood, or there are too many settings.
  """
  names = ", ".join(attribute.name for attribute in attributes(run))
  if run.system.nats is None:
    raise RunError(
      f"{run.folder}: its system, {run.config.system!r}, has no likelihood to "
      f"find what a picture shows; say it with --{flag}, a value for each of "
      f"{names}"
    )
  shown = _trial_values(run)
  count = math.prod(map(len, shown.values()))
  if count > search.settings:
    raise RunError(
      f"{count} settings of {len(shown)} attributes are too many to try; say "
      f"what the picture shows with --{flag}, a value for each of {names}"
    )


def vector(run: Run, values: Mapping[str, Any]) -> NDArray[np.float32]:
  """Return the condition vector [1, A] of what a picture shows.

  Raises:
    RunError: a value may not be unknown.
    DataError: an attribute is missing where none may be unknown, or a name or
      a value is unknown.
  """
  if not attributes(run):
    return blank_condition(run)
  return run.encode_condition(values)


def blank_condition(run: Run) -> NDArray[np.float32]:
  """Return the condition vector [1, A] that says nothing."""
  return np.zeros((1, run.condition_size), np.float32)


def edit(
  run: Run, image: NDArray, own: ArrayLike, wanted: Sequence[ArrayLike]
) -> NDArray:
  """Return an image's reconstruction and N edits of it: [1 + N, H, W, C].

  Args:
    run: the run.
    image: [H, W, C].
    own: the condition vector [1, A] of what it shows.
    wanted: N condition vectors [1, A] of what the edits should show.
  """
  vectors = np.concatenate([own, *wanted])
  z = run.encode(image[None], own).mean
  decoded = run.decode(np.repeat(z, len(vectors), axis=0), vectors)
  return np.clip(decoded, 0, 1)


def levels(run: Run, own: ArrayLike, name: str) -> list[NDArray]:
  """Return a condition at each level of an attribute, or over its range.

  Args:
    run: the run.
    own: a condition vector [1, A].
    name: the attribute.

  Raises:
    DataError: there is no such attribute.
  """
  conditions = run.conditions
  values = conditions.attribute(name).settings(STEPS)
  return [conditions.fill(own, {name: value}) for value in values]


def walk(run: Run, images: NDArray, conditions: NDArray, steps: int) -> NDArray:
  """Walk from one image to another: [steps, H, W, C].

  The latents and the conditions change together, each on a straight line.

  Args:
    run: the run.
    images: [2, H, W, C].
    conditions: what each shows, [2, A].
    steps: images, the two ends with them.
  """
  z = walks.line(*run.encode(images, conditions).mean, steps)
  return np.clip(run.decode(z, walks.line(*conditions, steps)), 0, 1)


def estimate_elbo(
  run: Run, image: NDArray, condition: NDArray, draws: int = 4, seed: int = 0
) -> NDArray:
  """Return the ELBO [G] of image [H, W, C] under conditions [G, A], in nats."""
  images = np.tile(unit(image), (len(condition), 1, 1, 1))
  shape = (draws, 1, run.system.latents)
  draw = posteriors.make_draw(run, images, condition)
  elbo = []
  for each in np.random.default_rng(seed).standard_normal(shape, np.float32):
    noise = np.repeat(each, len(images), axis=0)
    q, z = draw(noise)
    nats = run.system.nats(images, run.outputs(z, condition))
    elbo.append(-np.asarray(nats) - run.kl(q, z))
  return np.mean(elbo, axis=0)


def _trial_values(run: Run) -> dict[str, list[Any]]:
  """Return {attribute: values to try}."""
  numbers = 5 if _is_small(run) else 3
  return {
    a.name: run.conditions.likely(a.name, numbers) for a in attributes(run)
  }


def _is_small(run: Run) -> bool:
  return max(run.system.columns["image"][:2]) <= SMALL
