"""Small representations of known factors, for scores that others recorded."""

import numpy as np

ROWS = 400
CASES = ("aligned", "rotated", "redundant", "noise")


def made(name):
  """Return codes [400, 4], factors [400, 3], and the same of test rows."""
  generator = np.random.default_rng(7)
  return *_rows(name, generator), *_rows(name, generator)


def _rows(name, generator):
  factors = np.stack(
    [generator.integers(0, n, ROWS) for n in (3, 4, 5)], axis=1
  )
  noise = generator.normal(0, 1, (ROWS, 4))
  plain = np.concatenate([factors - factors.mean(0), noise[:, :1]], axis=1)
  if name == "aligned":
    return plain + 0.1 * noise, factors
  if name == "rotated":
    angle = np.pi / 5
    turn = np.eye(4)
    turn[:2, :2] = [
      [np.cos(angle), -np.sin(angle)],
      [np.sin(angle), np.cos(angle)],
    ]
    return plain @ turn + 0.4 * noise, factors
  if name == "redundant":
    return plain[:, [0, 0, 1, 2]] + 0.6 * noise, factors
  return noise, factors
