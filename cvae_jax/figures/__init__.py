"""What a run can be asked to draw, by its system or else its data source.

A module here has the name of the one or the other; a system's own comes
first, as its figures say more than what all systems of the data can draw.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from types import ModuleType

from numpy.typing import NDArray

from cvae_jax.runs import Run

Captions = tuple[Sequence[str], Sequence[str]]  # of the rows, of the columns


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return {figure: images [R, P, H, W, C]}."""
  return _module(run).draw(run, seed)


def captions(run: Run) -> Mapping[str, Captions]:
  """Return {figure: captions}, for the figures that have some."""
  found = getattr(_module(run), "captions", None)
  return found(run) if found else {}


def _module(run: Run) -> ModuleType:
  rooms = {found.name for found in pkgutil.iter_modules(__path__)}
  system = run.config.system
  source = run.config.data.name
  name = next((n for n in (system, source) if n in rooms), "plain")
  return importlib.import_module(f"{__name__}.{name}")
