"""Check that a long run does not grow: memory, open files and threads.

    python -m benchmarks.flatness [--steps=3000]

It trains a tiny network that logs, saves and evaluates every 10 steps, and
measures this process every 100 steps. After a warm-up, descriptors and threads
may not be more than before, and the resident memory may not rise faster than
BOUND. Exit code 1 where they do.

What rises below the bound is of libraries: tensorstore 0.1.86 frees neither
the strings of a spec's to_json, four for each array of each save, nor of its
counters (loop/folder/orbax_quirks.py keeps orbax from asking for these).
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

EVERY = 100  # steps between two measurements
WARM_UP = 0.3  # share of the measurements that is not judged
BOUND = 8.0  # KiB a step that resident memory may rise: 10 of them are a save


def measure() -> tuple[float, int, int]:
  """Return resident memory in MiB, open descriptors and threads."""
  pages = int(Path("/proc/self/statm").read_text().split()[1])
  memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
  threads = len(os.listdir("/proc/self/task"))
  return memory, len(os.listdir("/proc/self/fd")), threads


def train(folder: Path, steps: int) -> np.ndarray:
  """Train and return the measurements, rows of (step, MiB, files, threads)."""
  from cvae_jax import config, train as training
  from cvae_jax.host import console
  from tests import small

  data = small.prepare(folder)
  rows = []
  values = {"log_every": 10, "checkpoint_every": 10, "batch_size": 40}
  # Ten steps of 40 are an epoch of the 400 digits: each ends in an evaluation.
  page = small.values("cvae", data, values | {"epochs": steps // 10})
  tell = console.Console.log

  def log(self, step, loss):
    tell(self, step, loss)
    if step % EVERY == 0:
      rows.append((int(step), *measure()))

  console.Console.log = log
  try:
    loaded = config.load("configs/digits.py:smoke", page)
    training.train_and_evaluate(loaded, folder / "run")
  finally:
    console.Console.log = tell
  return np.array(rows)


def growth(rows: np.ndarray) -> list[str]:
  """Say what grew after the warm-up."""
  rows = rows[int(len(rows) * WARM_UP) :]
  slope = np.polyfit(rows[:, 0], rows[:, 1] * 1024, 1)[0]
  found = []
  if slope > BOUND:
    found.append(f"memory rises by {slope:.2f} KiB a step; bound {BOUND}")
  half = len(rows) // 2
  for column, name in ((2, "open descriptors"), (3, "threads")):
    # Savers come and go, orbax's and the digest's pool: 32 threads between
    # two saves, up to 41 within one. One a save left behind would be 100 and
    # more in the second half, so medians tell it and are not moved by chance.
    before = np.median(rows[:half, column])
    after = np.median(rows[half:, column])
    if after > before + 2:
      found.append(f"{name} rise from {before:.0f} to {after:.0f}")
  return found


def main() -> int:
  """Print first, last and slope of each; exit code 1 where one grows."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--steps", type=int, default=3000)
  steps = parser.parse_args().steps
  if steps < 10 * EVERY or steps % EVERY:
    parser.error(
      f"--steps has to be a multiple of {EVERY}, {10 * EVERY} or more"
    )
  with tempfile.TemporaryDirectory() as folder:
    rows = train(Path(folder), steps)
  judged = rows[int(len(rows) * WARM_UP) :]
  for column, name in enumerate(("memory (MiB)", "descriptors", "threads"), 1):
    slope = np.polyfit(judged[:, 0], judged[:, column], 1)[0]
    print(
      f"{name:14} first {rows[0, column]:8.1f}  after warm-up "
      f"{judged[0, column]:8.1f}  last {rows[-1, column]:8.1f}  "
      f"slope {1000 * slope:+.3f} per 1,000 steps"
    )
  found = growth(rows)
  print(*(f"GROWS: {line}" for line in found), sep="\n")
  if not found:
    print(f"flat over {steps} steps")
  return int(bool(found))


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
