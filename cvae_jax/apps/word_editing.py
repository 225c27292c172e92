"""Edit a picture with a run on any data, its conditions said in words.

The explorer's panel of one's own picture does the same in the browser.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.apps.explore import photo
from cvae_jax.apps.explore.opened import Opened
from cvae_jax.data.conditions.attribute import STEPS
from cvae_jax.runs import Run, RunError


def read(run: Run, path: Path) -> NDArray[np.uint8]:
  """Read a picture as the run takes it: uint8 [H, W, C], its largest middle.

  Raises:
    RunError: the run encodes no images.
    DataError: the file is no whole image.
  """
  opened = _open(run)
  return photo.fit(opened, photo.decode(path.read_bytes()))


def find_own(run: Run, image: NDArray, text: str | None) -> dict[str, Any]:
  """Return what a picture shows: as said, else as the run explains it best.

  Args:
    run: the run.
    image: uint8 [H, W, C].
    text: "shape=circle,size=0.4", or None.

  Raises:
    RunError: it is not said, and cannot be found.
    DataError: an attribute or a value is none that there is.
  """
  if text is not None:
    return run.parse(text)
  opened = _open(run)
  if not opened.attributes:
    return {}
  own = photo.guess(opened, image)
  if own is None:
    names = ", ".join(attribute.name for attribute in opened.attributes)
    raise RunError(
      "what the picture shows cannot be found by this run; say it with "
      f"--condition, a value for each of {names}"
    )
  return own


def edit(
  run: Run,
  image: NDArray,
  own: Mapping[str, Any],
  changes: Sequence[Mapping[str, Any]],
) -> NDArray:
  """Return a picture's reconstruction and how it might be: [1 + N, H, W, C].

  Args:
    run: the run.
    image: uint8 [H, W, C].
    own: what it shows, {attribute: value}.
    changes: what else it is to show, N times.
  """
  wanted = [{**own, **one} for one in changes]
  return photo.edit(_open(run), image, own, *wanted)


def sweep(
  run: Run, image: NDArray, own: Mapping[str, Any], name: str
) -> NDArray:
  """Return a picture at each level, or over the range, of an attribute.

  Raises:
    RunError: the run has no such attribute.
  """
  known = {a.name: a for a in _open(run).attributes}
  if name not in known:
    raise RunError(
      f"--sweep={name}: no such attribute; the run has {', '.join(known)}"
    )
  values = known[name].settings(STEPS)
  return edit(run, image, own, [{name: value} for value in values])[1:]


def walk(
  run: Run,
  images: tuple[NDArray, NDArray],
  own: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> NDArray:
  """Walk from one picture to another, latents and conditions together."""
  return photo.walk(_open(run), images, own)


def _open(run: Run) -> Opened:
  """Return a run as the explorer's functions take it.

  Raises:
    RunError: the run encodes no images or decodes none.
  """
  if run.system.encode is None or run.system.decode is None:
    raise RunError(
      f"{run.folder}: a {run.config.system} does not encode and decode "
      "images, so no picture can be edited with it"
    )
  asked = run.system.columns.get("condition", (0,))[0] > 0
  return Opened(run, "", np.zeros(0), np.zeros((0, 2)), asked)
