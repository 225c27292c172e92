"""Time this project's training step of the 64×64 VAE of configs/compare.py."""

import ours
from ours import config
from peers import timing

if __name__ == "__main__":
  images, conditions = timing.random_compare()
  ours.run(
    timing.parse_compare_arguments(ours.SETTINGS),
    config.load("configs/compare.py:vae,size=64"),
    {"image": images, "condition": conditions},
    timing.COMPARE_PARAMETERS,
  )
