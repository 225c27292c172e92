"""Paths from one latent to another."""

import numpy as np
from numpy.typing import NDArray


def arc(a: NDArray, b: NDArray, steps: int) -> NDArray:
  """Walk from a [Z] to b [Z] along the sphere: [steps, Z].

  It is for draws of the prior. They lie near a sphere of radius √Z, and a
  straight line would cross its inside, where the prior has hardly any mass.
  """
  t = _shares(steps)
  radii = np.linalg.norm(a) * np.linalg.norm(b)
  if not radii:
    return line(a, b, steps)
  angle = np.arccos(np.clip(np.dot(a, b) / radii, -1, 1))
  if angle < 1e-6:
    return line(a, b, steps)
  weights = np.sin((1 - t) * angle), np.sin(t * angle)
  return (weights[0] * a + weights[1] * b) / np.sin(angle)


def line(a: NDArray, b: NDArray, steps: int) -> NDArray:
  """Walk from a [Z] to b [Z] straight: [steps, Z].

  It is for posterior means. They lie inside that sphere at any radius. If tanh
  bounds them, a straight line stays within its bounds.
  """
  t = _shares(steps)
  return (1 - t) * a + t * b


def _shares(steps: int) -> NDArray:
  return np.linspace(0, 1, steps)[:, None]
