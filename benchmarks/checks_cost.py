"""Measure what the checks of a run cost: data's identity, state's hash, lock.

    python -m benchmarks.checks_cost [--gib=2]

Prints the seconds that a start spends on knowing its data (bound: 1 s for
2 GiB), and the share of the training time that the digest of each checkpoint
takes on this machine (bound: 1 %). Seconds are CPU time, so that other
processes do not count; of the digest, which all processors share, divided by
their number. A check that this version of the package has not is said to be
absent and is not measured. Exit code 1 where a bound is passed.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

START = 1.0
SHARE = 0.01  # seconds for 2 GiB; of the training time


def seconds(function: Callable, times: int = 3) -> float:
  """Return the least CPU time that a call takes."""
  taken = []
  for _ in range(times):
    begun = time.process_time()
    function()
    taken.append(time.process_time() - begun)
  return min(taken)


def import_or_none(name: str):
  """Return a module of the package, or None after saying that it is absent."""
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError:
    print(f"{name}: absent, not measured")
    return None


def start(gib: float) -> bool:
  """Time the identity of data in memory; return whether it is in bounds."""
  identity = import_or_none("cvae_jax.data.files.identity")
  if identity is None:
    return True
  rows = int(gib * 2**30 / 784)
  columns = {"image": np.ones((rows, 28, 28, 1), np.uint8)}
  taken = seconds(lambda: identity.compute({"train": columns}), 1)
  print(f"identity of {gib} GiB: {taken:.2f} s (bound {START})")
  return taken <= START


def share(step: float) -> bool:
  """Time the digest of a large state against the steps between two saves.

  The state is the faces' model of 72M parameters with Adam, 864 MB.
  """
  from cvae_jax import config
  from cvae_jax.loop.folder import integrity

  every = config.load("configs/faces.py").checkpoint_every
  draw = np.random.default_rng(0).standard_normal
  params = {f"kernel_{i}": draw((3000, 3000), np.float32) for i in range(8)}
  state = {"params": params, "mean": params, "square": params}
  size = sum(leaf.nbytes for leaf in params.values()) * 3
  taken = seconds(lambda: integrity.digest(state)) / os.cpu_count()
  part = taken / (step * every)
  print(
    f"digest of a state of {size / 1e6:.0f} MB: {taken:.2f} s each {every} "
    f"steps of {step} s: {part:.2%} of the training (bound {SHARE:.0%})"
  )
  return part <= SHARE


def lock() -> None:
  """Time the taking and leaving of a folder's lock, once a run."""
  module = import_or_none("cvae_jax.host.lock")
  if module is None:
    return
  with tempfile.TemporaryDirectory() as folder:

    def hold():
      with module.hold(Path(folder), "measuring"):
        pass

    print(f"lock: {1000 * seconds(hold):.2f} ms a run")


def main() -> int:
  """Print the costs; exit code 1 where one passes its bound."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--gib", type=float, default=2.0)
  parser.add_argument(
    "--step", type=float, default=0.8, help="seconds of a step of faces"
  )
  args = parser.parse_args()
  lock()
  return int(not all([start(args.gib), share(args.step)]))


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
