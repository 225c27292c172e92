"""The photos' figure: held-out ones, grey, coloured in variants, true."""

from collections.abc import Mapping

from numpy.typing import NDArray

from cvae_jax.data import DataError
from cvae_jax.loop.run.purposes import purpose
from cvae_jax.measures import colour as score
from cvae_jax.runs import Run, RunError


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return {"held_out": pictures [R, P, H, W, 3]}, as launch.colourise does.

  Raises:
    RunError: the run's photos are not here.
  """
  try:
    _, sheet = score.score(run, seed=seed)
  except DataError as error:
    raise RunError(
      f"{run.folder} draws no samples; {purpose(run)} (its held-out photos, "
      f"which are drawn instead, are not to be had: {error})"
    ) from error
  return {"held_out": sheet}
