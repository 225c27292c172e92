"""Measure what the checks of a run cost: data's identity, state's hash, lock.

    python -m benchmarks.checks_cost [--gib=2]

Prints the seconds that a start spends on knowing its data (bound: 1 s for
2 GiB), and the share of the training time that hashing each checkpoint takes
(bound: 1 %). A check that this version of the package has not is said to be
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

START, SHARE = 1.0, 0.01  # seconds for 2 GiB; of the training time


def seconds(function: Callable, times: int = 3) -> float:
  """Return the least time that a call takes."""
  taken = []
  for _ in range(times):
    begun = time.perf_counter()
    function()
    taken.append(time.perf_counter() - begun)
  return min(taken)


def absent(name: str):
  """Return a module of the package, or None after saying that it is absent."""
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError:
    print(f"{name}: absent, not measured")
    return None


def start(gib: float) -> bool:
  """Time the identity of data in memory; return whether it is in bounds."""
  identity = absent("cvae_jax.data.identity")
  if identity is None:
    return True
  rows = int(gib * 2**30 / 784)
  columns = {"image": np.ones((rows, 28, 28, 1), np.uint8)}
  taken = seconds(lambda: identity.of({"train": columns}), 1)
  print(f"identity of {gib} GiB: {taken:.2f} s (bound {START})")
  return taken <= START


def share() -> bool:
  """Time the hash of a state against the steps between two checkpoints."""
  from cvae_jax import config, train
  from cvae_jax.checkpoint import fingerprint

  with tempfile.TemporaryDirectory() as folder:
    changes = {"checkpoint_every": 500}
    page = config.load("configs/digits.py:smoke", changes)
    begun = time.perf_counter()
    state = train.train_and_evaluate(page, Path(folder) / "run")
    step = (time.perf_counter() - begun) / int(state.step)
  taken = seconds(lambda: fingerprint(state.params))
  part = taken / (step * 500)
  print(
    f"hash of the parameters: {1000 * taken:.1f} ms each 500 steps of "
    f"{1000 * step:.1f} ms (compilation in it): {part:.3%} (bound {SHARE:.0%})"
  )
  return part <= SHARE


def lock() -> None:
  """Time the taking and leaving of a folder's lock, once a run."""
  module = absent("cvae_jax.lock")
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
  args = parser.parse_args()
  lock()
  return int(not all([start(args.gib), share()]))


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
