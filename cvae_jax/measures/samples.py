"""Draw the samples of a run that are measured, and say what was chosen."""

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from cvae_jax.host.images import to_bytes
from cvae_jax.measures.kept import MANNERS
from cvae_jax.runs import Run


def draw(
  run: Run, condition: NDArray, seed: int, at_once: int
) -> Iterator[NDArray]:
  """Yield uint8 images, one for each condition [N, A], `at_once` in a part."""
  z = run.prior(len(condition), seed, condition)
  for start in range(0, len(condition), at_once):
    part = slice(start, start + at_once)
    yield to_bytes(run.guided(z[part], condition[part], run.guidance))


def manner_lines(protocol: Mapping[str, Any]) -> list[str]:
  """Say by which guidance and temperature samples were drawn, if not by 1."""
  return [
    f"{f'{manner} of these samples':32} {protocol[manner]:10g}"
    for manner in MANNERS
    if manner in protocol
  ]
