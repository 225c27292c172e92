"""Time this project's training step of the zoo's VAE, SCVAE and AAE."""

import ours
from ours import config
from peers import timing

if __name__ == "__main__":
  arguments = timing.parse_zoo_arguments(ours.SETTINGS)
  images, conditions = timing.random_zoo(arguments.model)
  ours.run(
    arguments,
    config.load(f"configs/zoo.py:{arguments.model}"),
    {"image": images[..., None], "condition": conditions},
    timing.ZOO[arguments.model],
  )
