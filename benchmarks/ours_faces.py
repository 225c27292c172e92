"""Time this project's training step of the faces models 9 and 15."""

import ours
from ours import config
from peers import timing

if __name__ == "__main__":
  arguments = timing.parse_faces_arguments(ours.SETTINGS)
  images, conditions = timing.random_faces()
  ours.run(
    arguments,
    config.load(f"configs/faces.py:model={arguments.model}"),
    {"image": images, "condition": conditions},
    timing.FACES[arguments.model].parameters,
  )
