"""Train a config, or go on with a run: the same command does both.

This file is short on purpose: what it does is train.train_and_evaluate.
"""

import sys

from cvae_jax import cpu

if __name__ == "__main__":
  cpu.tune()  # before jax: it may start the interpreter anew

from absl import app, flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
flags.mark_flags_as_required(["config", "workdir"])

PREEMPTED = 75  # EX_TEMPFAIL: run the same command again


def main(_) -> int:
  """Trains; exits with PREEMPTED after a signal, 1 after an error."""
  from cvae_jax import train

  try:
    train.train_and_evaluate(_CONFIG.value, _WORKDIR.value)
  except train.Preempted as stop:
    print(f"{stop}; run the same command to go on.", file=sys.stderr)
    return PREEMPTED
  except (ValueError, FloatingPointError) as error:
    print(
      f"error: {error}",
      *getattr(error, "__notes__", []),
      sep="\n",
      file=sys.stderr,
    )
    return 1
  return 0


if __name__ == "__main__":
  app.run(main)
