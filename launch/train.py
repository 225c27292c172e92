"""Train a config, or go on with a run: the same command does both.

This file is short on purpose: what it does is train.train_and_evaluate.
"""

import sys

from absl import flags
from ml_collections import config_flags

from . import command

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_CHECK = flags.DEFINE_bool(
  "check_data", False, "Read all prepared images and compare their SHA-256."
)


def main(_: list[str]) -> int:
  """Trains; gives PREEMPTED after a signal."""
  from cvae_jax import train

  try:
    train.train_and_evaluate(_CONFIG.value, _WORKDIR.value, _CHECK.value)
  except train.Preempted as stop:
    print(f"{stop}; run the same command to go on.", file=sys.stderr)
    return command.PREEMPTED
  return 0


if __name__ == "__main__":
  command.start(__name__)
  command.run(main, ["config", "workdir"])
