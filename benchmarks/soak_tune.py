"""Kills a search twice and compares it with one that was left alone.

    python -m benchmarks.soak_tune

Both are 20 trials of a small MLP page by launch.tune. The first is ended twice
by kill -9 while a trial trains, and goes on by the same command. Trials,
states, values and evaluations must be equal in the end, and every trial be
there once.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from cvae_jax.apps.tuning.results import TABLE

ROOT = Path(__file__).parents[1]
PAGE = [
  "--config=zoo:vae,smoke",
  "--config.model.encoder.widths=(16,)",
  "--config.model.decoder.widths=(16,)",
  "--config.epochs=2",
  "--config.checkpoint_every=9",
  "--space=config.optim.lr=log:1e-4..1e-1",
  "--space=config.model.latents=int:2..8",
]


def search(folder: Path, trials: int) -> subprocess.Popen:
  """Start or continue a search."""
  order = [sys.executable, "-m", "launch.tune", f"--workdir={folder}"]
  return subprocess.Popen(
    [*order, *PAGE, f"--trials={trials}"], cwd=ROOT, stdout=subprocess.DEVNULL
  )


def kill_in(folder: Path, trial: int, trials: int) -> None:
  """Run a search and end it by kill -9 once a trial has a row."""
  process = search(folder, trials)
  while not (folder / f"{trial:04d}" / "metrics.jsonl").exists():
    if process.poll() is not None:
      raise RuntimeError(f"the search ended before trial {trial}")
    time.sleep(0.01)
  time.sleep(0.2)
  process.send_signal(signal.SIGKILL)
  process.wait()
  print(f"killed in trial {trial}")


def main() -> int:
  """Run both searches; return 1 where they differ."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--trials", type=int, default=20)
  trials = parser.parse_args().trials
  base = Path(tempfile.mkdtemp(prefix="soak_tune_"))
  for trial in (trials // 4, 2 * trials // 3):
    kill_in(base / "killed", trial, trials)
  tables = {}
  for name in ("killed", "alone"):
    if search(base / name, trials).wait():
      raise RuntimeError(f"the search in {base / name} failed")
    tables[name] = pd.read_csv(base / name / TABLE).drop(columns="seconds")
  runs = len(list((base / "killed").glob("[0-9]*")))
  equal = tables["killed"].equals(tables["alone"])
  once = runs == trials == len(tables["killed"])
  print(tables["killed"].to_string(index=False))
  print(f"{trials} trials, killed twice: {runs} folders; equal to the search")
  print(f"that was left alone: {equal}; each there once: {once}")
  return 0 if equal and once else 1


if __name__ == "__main__":
  sys.exit(main())
