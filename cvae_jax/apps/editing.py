"""Attribute editing: a photo, encoded as it is, decoded as it might be.

The source has no such thing: its "info change" test varies the conditions of
random latents and never encodes (faces.md §5).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop import posteriors
from cvae_jax.runs import Run, RunError, unit

SETTINGS = 1000  # that a search for a photo's condition may try
CLEAR = 1.0  # nats; a value that wins by less is a guess
_TOGETHER = (("male", "female"), ("female", "male"))  # one is 1 − the other


class Reading(NamedTuple):
  """A photo's own condition, and how it was found, for people to read."""

  values: dict[str, float]
  notes: tuple[str, ...] = ()


# Image [H, W, C] → Reading. The ELBO is one reader; judges can be others.
Reader = Callable[[NDArray], Reading]


def parse(text: str) -> dict[str, float]:
  """Read "male=1,mouth=0.5"; whether such names are is not asked here.

  Raises:
    RunError: a part is no name=number, or a name comes twice.
  """
  values = {}
  for part in filter(None, text.split(",")):
    name, _, number = (word.strip() for word in part.partition("="))
    try:
      value = float(number)
    except ValueError:
      raise RunError(
        f"{part.strip()!r} is not name=number, as in mouth=0.5"
      ) from None
    if name in values:
      raise RunError(f"{name!r} comes twice in {text!r}")
    values[name] = value
  return values


def changed(
  own: Mapping[str, float], change: Mapping[str, Any]
) -> dict[str, Any]:
  """Return own values with some changed; female follows male, and back."""
  result = {**own, **change}
  for one, other in _TOGETHER:
    if one in change and other not in change:
      result.pop(other, None)  # Conditions.encode makes it from the other
  return result


def edit(
  run: Run,
  image: NDArray,
  own: Mapping[str, float],
  changes: Sequence[Mapping[str, float]],
) -> NDArray:
  """Decode image [H, W, C] under each change of its own condition.

  Returns:
    [1 + N, H, W, C]: its reconstruction, then one image for each change.

  Raises:
    DataError: a name is unknown or missing, or a value outside its range.
  """
  encode = run.conditions.encode
  wanted = [encode(changed(own, change)) for change in ({}, *changes)]
  copies = [len(wanted), *[1] * image.ndim]
  condition = np.tile(wanted[0], (len(wanted), 1))
  return run.edit(np.tile(image, copies), condition, np.concatenate(wanted))


def sweep(
  run: Run, image: NDArray, own: Mapping[str, float], name: str, steps: int = 9
) -> NDArray:
  """Move one condition of image over its range: [steps, H, W, C].

  Raises:
    RunError: there is no such condition.
  """
  conditions = run.conditions
  if name not in conditions.names:
    raise RunError(
      f"no condition {name!r} to sweep; there are {', '.join(conditions.names)}"
    )
  low, high = conditions.ranges[conditions.names.index(name)]
  changes = [{name: value} for value in np.linspace(low, high, steps)]
  return edit(run, image, own, changes)[1:]


def read_by_elbo(
  run: Run, image: NDArray, draws: int = 4, seed: int = 0
) -> Reading:
  """Find the condition under which the model explains image [H, W, C] best.

  Every setting of the conditions' 5 %, 50 % and 95 % quantiles in training
  is tried, with the same noise for each, so that they differ by nothing else.
  It is as sharp as the model's own use of a condition: the notes say by how
  many nats each value won, and which ones are guesses.

  Raises:
    RunError: the run has no likelihood, or there are too many settings.
  """
  settings = _settings(run)
  condition = run.conditions.encode(settings)
  elbo = elbo_of(run, image, condition, draws, seed)
  best = int(elbo.argmax())
  values = {name: float(column[best]) for name, column in settings.items()}
  notes = [f"condition by the ELBO: {elbo[best]:.1f} nats, best of {len(elbo)}"]
  for name, column in settings.items():
    others = elbo[column != column[best]]
    if len(others):
      lead = elbo[best] - others.max()
      guess = " (a guess)" if lead < CLEAR else ""
      notes.append(f"  {name} {values[name]:g}, ahead by {lead:.1f}{guess}")
  return Reading(values, tuple(notes))


def _settings(run: Run) -> dict[str, NDArray]:
  """Return {name: [G]}, each of G settings once; female is left to male."""
  quantiles = {
    name: sorted(set(q))
    for name, q in zip(
      run.conditions.names, run.conditions.quantiles, strict=True
    )
  }
  if "male" in quantiles:
    quantiles.pop("female", None)
  count = np.prod([len(q) for q in quantiles.values()])
  if count > SETTINGS:
    raise RunError(
      f"{count} settings of {len(quantiles)} conditions are too many to try; "
      "say the photo's own condition"
    )
  rows = np.array(list(itertools.product(*quantiles.values())))
  return dict(zip(quantiles, rows.T, strict=True))


def elbo_of(
  run: Run, image: NDArray, condition: NDArray, draws: int = 4, seed: int = 0
) -> NDArray:
  """Return the ELBO [G] of image [H, W, C] under conditions [G, A], in nats.

  Raises:
    RunError: the run has no likelihood.
  """
  if run.system.nats is None:
    raise RunError(
      f"{run.folder}: its system, {run.config.system!r}, has no likelihood to "
      "find a condition by; say the photo's own condition"
    )
  images = np.tile(unit(image), (len(condition), 1, 1, 1))
  shape = (draws, 1, run.system.latents)
  draw = posteriors.drawing(run, images, condition)
  elbo = []
  for each in np.random.default_rng(seed).standard_normal(shape, np.float32):
    noise = np.repeat(each, len(images), axis=0)
    q, z = draw(noise)
    nats = run.system.nats(images, run.outputs(z, condition))
    elbo.append(-np.asarray(nats) - run.kl(q, z))
  return np.mean(elbo, axis=0)
