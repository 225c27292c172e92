"""The CAAE's figure: faces by combinations of attributes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.figures import Captions
from cvae_jax.loop.batches import spread
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.runs import Run

FACES = 10
# The source's ten columns; attributes that are not listed are off.
COLUMNS = (
  ("Male",),
  ("Male", "Mustache"),
  ("Male", "Mustache", "Bald"),
  ("Male", "Mustache", "Bald", "Young"),
  ("Male", "Mustache", "Bald", "Young", "Smiling"),
  (),
  ("Young",),
  ("Mustache",),
  ("Smiling",),
  ("Young", "Smiling"),
)


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C].

  The source does not say whether its rows are encoded photos or draws of the
  prior; here are both.
  """
  dataset = load_data(run.folder, run.config.data)
  shown = dataset.test or dataset.train
  rows = spread(len(shown["image"]), FACES)
  images, own = (shown[k][rows] for k in ("image", "condition"))
  z = run.encode(images, own).mean
  return {
    "faces": combinations(run, z),
    "prior": combinations(run, run.prior(FACES, seed)),
  }


def captions(run: Run) -> dict[str, Captions]:
  """Return what stands above the columns: the attributes that are on."""
  texts = ["\n".join(on) or "none" for on in columns(run.conditions.names)]
  return {name: ((), texts) for name in ("faces", "prior")}


def combinations(run: Run, z: NDArray) -> NDArray:
  """Put each latent [N, Z] under all combinations: [N, P, …]."""
  rows = [
    run.conditions.encode({n: float(n in on) for n in run.conditions.names})
    for on in columns(run.conditions.names)
  ]
  panel = np.concatenate(rows)
  images = run.decode(
    np.repeat(z, len(panel), axis=0), np.tile(panel, (len(z), 1))
  )
  return images.reshape(len(z), len(panel), *images.shape[1:])


def columns(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
  """Return the source's combinations, or for other names none and each one."""
  if {name for on in COLUMNS for name in on} <= {*names}:
    return COLUMNS
  return ((), *((name,) for name in names))
