"""Load a run again and again while it trains and saves every step.

    python -m benchmarks.loads [--times=1000] [--minutes=60]

A tiny network trains in a process of its own and is started anew, in another
folder, when it is done. `runs.load` has to succeed each time, with a state of
a step that was saved. Prints how many loads there were, how many failed with
which words, and over how many different checkpoints. Exit code 1 where one
failed.
"""

import argparse
import collections
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import soak_resume as soak
from benchmarks.faults import launching
from benchmarks.faults.room import Base, prepare_process

_STEPS = {"epochs": 400, "log_every": 1, "checkpoint_every": 1}


def count_loads(
  folder: Path, times: int, minutes: float
) -> tuple[int, collections.Counter, int]:
  """Load beside trainings; return loads, errors and checkpoints seen."""
  from cvae_jax import runs

  base = Base(folder)
  numbers = itertools.count()
  end = time.monotonic() + 60 * minutes
  errors = collections.Counter()
  steps = set()
  loads = 0
  while loads < times and time.monotonic() < end:
    run = folder / f"run_{next(numbers)}"
    words = (*base.flags(**_STEPS), f"--workdir={run}")
    training = launching.start(
      "launch.train", *words, stdout=subprocess.DEVNULL
    )
    try:
      while not soak.list_saved_steps(run) and training.poll() is None:
        time.sleep(0.01)
      while training.poll() is None and loads < times:
        loads += 1
        try:
          steps.add((run.name, int(runs.load(run).state.step)))
        except Exception as error:  # any kind is a failure
          errors[f"{type(error).__name__}: {str(error)[:200]}"] += 1
        if time.monotonic() > end:
          break
    finally:
      training.kill()
      training.wait()
    if training.returncode not in (0, -signal.SIGKILL):
      raise RuntimeError(f"the training failed: rc {training.returncode}")
  return loads, errors, len(steps)


def main() -> int:
  """Print the counts; return 1 where a load failed."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--times", type=int, default=1000)
  parser.add_argument("--minutes", type=float, default=60, help="at most")
  args = parser.parse_args()
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  prepare_process()
  folder = Path(tempfile.mkdtemp(prefix="loads_"))
  try:
    loads, errors, steps = count_loads(folder, args.times, args.minutes)
  finally:
    shutil.rmtree(folder, ignore_errors=True)
  for text, count in errors.most_common():
    print(f"{count} × {text}")
  print(
    f"{loads} loads beside a run that saves every step, of {steps} "
    f"checkpoints: {errors.total()} failed"
  )
  return int(bool(errors))


if __name__ == "__main__":
  sys.exit(main())
