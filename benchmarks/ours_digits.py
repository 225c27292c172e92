"""Time this project's training step of the digits model."""

import ours
from ours import config
from peers import timing

if __name__ == "__main__":
  images, conditions = timing.random_digits()
  ours.run(
    timing.parse_arguments(ours.SETTINGS),
    config.load("configs/digits.py:model=4,full", {"loss.grey_start": 0}),
    {"image": images[..., None], "condition": conditions},
    timing.DIGITS_PARAMETERS,
  )
