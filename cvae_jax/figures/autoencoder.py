"""Figures of the autoencoder and the VAE."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cvae_jax.figures import gan
from cvae_jax.loop.batches import spread
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run.walks import line
from cvae_jax.runs import Run, unit

SHOWN = 10  # held-out images


def draw(run: Run, seed: int = 0) -> Mapping[str, NDArray]:
  """Return each figure's images [R, P, H, W, C].

  What a generator can draw; images over their reconstructions; and ways from
  one image to the next, whose ends are reconstructions.
  """
  dataset = load_data(run.folder, run.config.data)
  images = (dataset.test or dataset.train)["image"]
  images = images[spread(len(images), SHOWN)]
  codes = run.encode(images, np.zeros((len(images), 0))).mean
  reconstructed = gan.decode(run, codes)
  ways = zip(codes[:-1:2], codes[1::2], strict=False)
  return {
    **gan.draw(run, seed),
    "reconstruction": np.stack([unit(images), reconstructed]),
    "between": np.stack(
      [gan.decode(run, line(a, b, gan.STEPS)) for a, b in ways]
    ),
  }
