"""What an edit of a real image moves, and whether it keeps who is shown.

Held-out images are encoded with what they show, and decoded with one attribute
at its low and at its high end. Judges read whether the attribute is there. A
judge of who is shown says how alike two images are to it:

    s(a, b) = cos(v(a), v(b)),  v = log p − mean(log p)  over its classes
    kept    = P(s(x_i, edit of x_i) > s(x_i, x_j)),  j ≠ i

So `kept` is how often the edit is more like its own image than another image
is: 1 if always, 0.5 if it might be anybody. The judge needs not know the people
themselves: it says whom of those that it knows they resemble.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.images import unit
from cvae_jax.loop import batches
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.measures.control import check_shapes, figures
from cvae_jax.measures.judges import Reader
from cvae_jax.metrics import merits
from cvae_jax.runs import Run, RunError

IMAGES = 500  # held-out images that are edited, at most
LEAST = 1e-6  # of a probability


def score(
  run: Run, judges: Sequence[Run], identity: Run, seed: int = 0
) -> dict[str, Any]:
  """Score edits of a run's held-out images.

  Args:
    run: a run that encodes images and has a condition.
    judges: runs that read its attributes.
    identity: a run of configs/judge.py that reads a class: who is shown.
    seed: of the floor of the judges' figures.

  Returns:
    images: how many; reconstruction: `kept` of images that were encoded and
    decoded only; attributes: {name: {"read": the judges' figures of both ends,
    "kept": of both ends}}.

  Raises:
    RunError: the run cannot edit, or the judges do not fit.
  """
  check(run, judges, identity)
  test = load_data(run.folder, run.config.data).test
  if test is None:
    raise RunError(f"{run.folder}: its data have no test split to edit")
  rows = batches.spread(len(test["image"]), IMAGES)
  image = unit(test["image"][rows])
  own = np.asarray(test["condition"][rows])
  check_shapes([identity], image.shape[1:])
  read = Reader(run.conditions, judges)
  z = run.encode(image, own).mean
  place = _embed(identity, image)

  def keep(edited: NDArray) -> float:
    return share_kept(place, _embed(identity, edited))

  found = {}
  for name in run.conditions.moved:
    ends = [run.conditions.put(own, name, e) for e in run.conditions.ends(name)]
    edited = [run.guided(z, asked, run.guidance) for asked in ends]
    asked = np.concatenate(ends)
    reading = read(np.concatenate(edited), asked)
    if name in reading:
      found[name] = {
        "read": figures(run.conditions, name, asked, reading[name], seed),
        "kept": float(np.mean([keep(one) for one in edited])),
      }
  return {
    "identity": str(identity.folder),
    "images": len(image),
    "reconstruction": keep(run.guided(z, own, 1.0)),
    "attributes": found,
  }


def check(run: Run, judges: Sequence[Run], identity: Run) -> None:
  """Check that edits of a run can be scored by these judges.

  Raises:
    RunError: they cannot.
  """
  if run.system.encode is None or not getattr(run.conditions, "moved", ()):
    raise RunError(
      f"{run.folder} cannot edit: --identity needs a run that encodes images "
      "and can be asked for an attribute with two ends"
    )
  if not judges:
    raise RunError("--identity needs judges of the attributes: --judge=RUN")
  attributes = identity.conditions.attributes
  classes = [a for a in attributes if a.kind == "class"]
  if identity.config.system != "judge" or len(attributes) != 1 or not classes:
    raise RunError(
      f"{identity.folder} is no judge of who is shown: give a run of "
      "configs/judge.py on a set whose only attribute is a class"
    )


def share_kept(place: NDArray, edited: NDArray) -> float:
  """Return how often an edit is more like its image than another image is.

  Args:
    place: unit vectors [N, K] of the images.
    edited: those of their edits, [N, K]. A tie counts one half.
  """
  own = np.sum(place * edited, axis=1)[:, None]
  others = place @ place.T
  wins = (own > others) + 0.5 * (own == others)
  np.fill_diagonal(wins, 0.0)
  return float(wins.sum() / (len(own) * (len(own) - 1)))


def _embed(identity: Run, image: NDArray) -> NDArray[np.float64]:
  """Return unit vectors [N, K]: whom of the known people images resemble."""
  share = np.asarray(identity.predict(image), np.float64)
  found = np.log(np.maximum(share, LEAST))
  found -= found.mean(axis=1, keepdims=True)
  return found / np.linalg.norm(found, axis=1, keepdims=True)


def lines(scores: Mapping[str, Any]) -> list[str]:
  """Lay the scores out as text: two lines an attribute."""
  found = [f"edits of {scores['images']} held-out images:"]
  for name, entry in scores["attributes"].items():
    found.append(f"{f'  {name}, at both ends':32} {merits.text(entry['read'])}")
    found.append(f"{'    still the same person':32} {entry['kept']:10.2%}")
  kept = scores["reconstruction"]
  found.append(f"{'  not edited: the same person':32} {kept:10.2%}")
  return found
