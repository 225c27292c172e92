"""Write all ten digits in the hand of one drawn digit."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvae_jax.loop.run import posteriors
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.runs import Run, RunError


class Handwriting(NamedTuple):
  """What was recognised, and the ten digits in that hand."""

  digit: int
  probability: float  # of that class, by the judge
  ink: float  # measured condition
  images: NDArray  # [10, H, W, C] in [0, 1]


def rewrite(run: Run, judge: Run, image: NDArray) -> Handwriting:
  """Recognise image uint8 [28, 28, 1] and write all digits in its hand.

  The image is encoded once, with its own class and ink. The mean of this
  posterior is decoded with every class and the same ink.

  Raises:
    RunError: one of the runs is not on digits, or cannot be used for this.
  """
  _check(run, judge)
  probabilities = judge.classify(image[None])[0]
  digit = int(probabilities.argmax())
  ink, images = write(run, image, digit)
  return Handwriting(digit, float(probabilities[digit]), ink, images)


def write(run: Run, image: NDArray, digit: int) -> tuple[float, NDArray]:
  """Write all ten digits in the hand of an image that shows `digit`.

  Args:
    run: a run on digits that is asked for the class.
    image: uint8 [28, 28, 1].
    digit: what it shows.

  Returns:
    Its ink, as of that class, and images [10, H, W, C] in [0, 1].
  """
  ink = float(run.conditions.measure(image[None], [digit])[0])
  inked = [ink] if "ink" in run.conditions.asked else []
  own = run.conditions.encode([digit], *inked)
  z = np.asarray(run.encode(image[None], own).mean)
  condition = run.conditions.encode(np.arange(run.conditions.classes), *inked)
  images = run.decode(np.tile(z, (run.conditions.classes, 1)), condition)
  return ink, images


def rewrite_faithful(
  run: Run, judge: Run, image: NDArray, samples: int = 8, seed: int = 0
) -> NDArray:
  """Write the nine other digits as the source does: [3 · samples, 9, …].

  As in the source, the drawing is encoded with the class and the ink of the
  target and not with its own. So each target has another code, and "the same
  hand" is only approximate. Rows: sample × ink (0, 0.5, 1).

  Raises:
    RunError: one of the runs is not on digits.
  """
  _check(run, judge)
  digit = int(judge.classify(image[None])[0].argmax())
  others = [label for label in range(run.conditions.classes) if label != digit]
  noise = run.prior(samples * 3 * len(others), seed)
  noise = noise.reshape(samples, 3, len(others), -1)
  sheet = []
  for i in range(samples):
    for j, ink in enumerate((0.0, 0.5, 1.0)):
      condition = run.conditions.encode(others, ink)
      images = np.repeat(image[None], len(others), axis=0)
      _, z = posteriors.make_draw(run, images, condition)(noise[i, j])
      sheet.append(run.decode(z, condition))
  return np.stack(sheet)


def _check(run: Run, judge: Run) -> None:
  for found, flag in ((run, "--workdir"), (judge, "--judge")):
    if found.config.data.name != "digits":
      raise RunError(
        f"{found.folder} is a run on {found.config.data.name}, not on digits; "
        f"{purpose(found)}; give {flag}, a run on digits"
      )
  if run.system.encode is None or "class" not in run.conditions.asked:
    raise RunError(
      f"{run.folder} writes no digit of a given class in a given hand; "
      f"{purpose(run)}; give --workdir, a run of configs/digits.py"
    )
  if judge.system.classify is None:
    raise RunError(
      f"{judge.folder} recognises no digits; {purpose(judge)}; give --judge, a "
      "run of configs/classifier.py"
    )
