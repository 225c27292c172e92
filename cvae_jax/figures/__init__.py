"""What a run can be asked to draw, one module for each data source."""

import importlib
from collections.abc import Mapping

from numpy.typing import NDArray

from cvae_jax.runs import Run


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Gives {figure: images [R, P, H, W, C]} as the run's source defines them."""
  name = f"cvae_jax.figures.{run.config.data.name}"
  return importlib.import_module(name).draw(run, seed)
