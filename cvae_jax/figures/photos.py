"""The photos' figure: held-out ones, grey, coloured in variants, true."""

from collections.abc import Mapping

from numpy.typing import NDArray

from cvae_jax.measures import colour as score
from cvae_jax.runs import Run


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return {"held_out": pictures [R, P, H, W, 3]}, as launch.colourise does."""
  _, sheet = score.score(run, seed=seed)
  return {"held_out": sheet}
