"""Time from launch to the first finished training step, in seconds.

python benchmarks/first_step.py --config=configs/digits.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time


def first_step(config: str) -> float:
  """Start a training and gives the seconds until its first step's line."""
  with tempfile.TemporaryDirectory() as workdir:
    command = [sys.executable, "-m", "launch.train", f"--config={config}"]
    command += [f"--workdir={workdir}", "--config.log_every=1"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
      for line in run.stdout:
        if line.startswith("step 1/"):
          seconds = time.monotonic() - begun
          run.kill()
          return seconds
  raise RuntimeError("the training ended before its first step")


def main() -> None:
  """Print the median of some launches."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", default="configs/digits.py")
  parser.add_argument("--launches", type=int, default=3)
  arguments = parser.parse_args()
  times = [first_step(arguments.config) for _ in range(arguments.launches)]
  shown = ", ".join(f"{t:.1f}" for t in times)
  print(f"first step after {statistics.median(times):.1f} s (of {shown})")


if __name__ == "__main__":
  main()
