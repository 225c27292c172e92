"""Paths from one latent to another."""

import numpy as np
from numpy.typing import NDArray


def arc(a: NDArray, b: NDArray, steps: int) -> NDArray:
  """Walk from a [Z] to b [Z] along the sphere: [steps, Z].

  It is for draws of the prior. They lie near a sphere of radius √Z, and a
  straight line would cross its inside, where the prior has hardly any mass.
  The direction turns evenly, and the radius goes evenly from |a| to |b|. Where
  a and b are opposite, there is no one arc between them: the way is straight.
  """
  t = _shares(steps)
  a, b = np.float64(a), np.float64(b)  # opposite ones leave few digits
  radii = np.linalg.norm(a), np.linalg.norm(b)
  if not all(radii):
    return line(a, b, steps)
  ends = a / radii[0], b / radii[1]
  angle = np.arccos(np.clip(np.dot(*ends), -1, 1))
  if not 1e-6 < angle < np.pi - 1e-6:
    return line(a, b, steps)
  weights = np.sin((1 - t) * angle), np.sin(t * angle)
  turned = (weights[0] * ends[0] + weights[1] * ends[1]) / np.sin(angle)
  return ((1 - t) * radii[0] + t * radii[1]) * turned


def line(a: NDArray, b: NDArray, steps: int) -> NDArray:
  """Walk from a [Z] to b [Z] straight: [steps, Z].

  It is for posterior means. They lie inside that sphere at any radius. If tanh
  bounds them, a straight line stays within its bounds.
  """
  t = _shares(steps)
  return (1 - t) * a + t * b


def _shares(steps: int) -> NDArray:
  return np.linspace(0, 1, steps)[:, None]
