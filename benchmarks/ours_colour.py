"""Time this project's training step of the colouring model 2.

It cuts the pyramid from photos within the step; the peers are given theirs.
"""

import ours
from ours import config
from peers import timing

from cvae_jax.data import Repeated

if __name__ == "__main__":
  photos, cell = timing.random_photos()
  ours.run(
    timing.parse_arguments(ours.SETTINGS),
    config.load("configs/colour.py:model=2,prepared"),
    {"photo": Repeated(photos, timing.CELLS), "cell": cell},
    timing.COLOUR_PARAMETERS,
  )
