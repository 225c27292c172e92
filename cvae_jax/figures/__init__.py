"""What a run can be asked to draw, one module for each data source."""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType

from numpy.typing import NDArray

from cvae_jax.runs import Run

Captions = tuple[Sequence[str], Sequence[str]]  # of the rows, of the columns


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Gives {figure: images [R, P, H, W, C]} as the run's source defines them."""
  return _module(run).draw(run, seed)


def captions(run: Run) -> Mapping[str, Captions]:
  """Gives {figure: captions}, for the figures whose source has some."""
  found = getattr(_module(run), "captions", None)
  return found(run) if found else {}


def _module(run: Run) -> ModuleType:
  return importlib.import_module(f"cvae_jax.figures.{run.config.data.name}")
