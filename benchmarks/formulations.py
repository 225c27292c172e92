"""Products and convolutions at the shapes in use, by Eigen and by YNNPACK.

    python benchmarks/formulations.py --out=formulations.json

Each is one way to compile for CPU, forced by XLA_FLAGS, in a process of its
own; PyTorch stands beside them where it is installed. They take turns, shape
by shape, and the best of all turns counts, so that other processes matter
little. `transposed` is the input's gradient of a wide layer as the kernel times
the transposed gradient, which cvae_jax/nets/fast/ops.py uses. What is faster
alone need not be so within a step: programs.py times whole steps.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

PRODUCTS = {  # rows, in, out: x [rows × in] by a kernel [in × out]
  "square": (2048, 2048, 2048),
  "faces, windows of 4 maps": (28_800, 960, 256),
  "faces, windows": (28_800, 540, 160),
  "faces, dense (skinny)": (32, 14_400, 256),
  "digits, dense": (32, 6_272, 256),
  "zoo, dense": (128, 784, 600),
}
CONVOLUTIONS = {  # batch, side, in, out; 3 × 3 kernels
  "faces, 60 × 60": (32, 60, 60, 160),
  "digits, 14 × 14": (32, 14, 32, 64),
}
WAYS = ("forward", "input", "transposed", "kernel")
XLA = "--xla_cpu_experimental_ynn_fusion_type="
BACKENDS = {
  "eigen": f"{XLA}-individual_convolution,-individual_dot",
  "ynnpack": f"{XLA}individual_convolution,individual_dot",
  "pytorch": "",
}
LEAST = 0.2  # seconds of a turn


def cells() -> dict[str, tuple[str, tuple, float]]:
  """Return by name: (what is computed, its sizes, its operations)."""
  found = {}
  for name, (rows, inside, out) in PRODUCTS.items():
    for way in WAYS:
      work = 2.0 * rows * inside * out
      found[f"{name}: {way}"] = (way, (rows, inside, out), work)
  for name, (batch, side, inside, out) in CONVOLUTIONS.items():
    work = 2.0 * batch * side**2 * 9 * inside * out
    sizes = (batch, side, inside, out)
    found[f"{name}: convolution"] = ("convolution", sizes, work)
  return found


def compile_jax(what: str, sizes: tuple):
  """Compile a cell: a function that computes it once."""
  import jax
  import jax.numpy as jnp

  formulas = {
    "forward": lambda x, w, g: x @ w,
    "input": lambda x, w, g: g @ w.T,
    "transposed": lambda x, w, g: (w @ g.T).T,
    "kernel": lambda x, w, g: x.T @ g,
  }
  if what == "convolution":
    batch, side, inside, out = sizes
    arrays = (
      jnp.ones((batch, side, side, inside)),
      jnp.ones((3, 3, inside, out)),
    )
    function = jax.jit(
      lambda x, w: jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
      )
    )
  else:
    rows, inside, out = sizes
    shapes = (rows, inside), (inside, out), (rows, out)
    arrays = tuple(map(jnp.ones, shapes))
    function = jax.jit(formulas[what])
  return lambda: jax.block_until_ready(function(*arrays))


def compile_torch(what: str, sizes: tuple):
  """Return a function that computes a cell once."""
  import torch

  if what == "convolution":
    batch, side, inside, out = sizes
    x = torch.ones(batch, inside, side, side)
    x = x.to(memory_format=torch.channels_last)
    w = torch.ones(out, inside, 3, 3).to(memory_format=torch.channels_last)
    return lambda: torch.nn.functional.conv2d(x, w, padding=1)
  rows, inside, out = sizes
  shapes = (rows, inside), (inside, out), (rows, out)
  x, w, g = (torch.ones(*shape) for shape in shapes)
  formulas = {
    "forward": lambda: x @ w,
    "input": lambda: g @ w.T,
    "transposed": lambda: (w @ g.T).T,
    "kernel": lambda: x.T @ g,
  }
  return formulas[what]


def work(backend: str) -> None:
  """Compute what is asked for on stdin, a cell's name a line."""
  make = compile_torch if backend == "pytorch" else compile_jax
  for line in sys.stdin:
    what, sizes, operations = cells()[line.strip()]
    once = make(what, sizes)
    once()
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < LEAST:
      before = time.perf_counter()
      once()
      times.append(time.perf_counter() - before)
    print(operations / min(times) / 1e9, flush=True)


def start(backend: str) -> subprocess.Popen:
  """Start a backend's process."""
  return subprocess.Popen(
    [sys.executable, __file__, f"--backend={backend}"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env=os.environ | {"XLA_FLAGS": BACKENDS[backend], "JAX_PLATFORMS": "cpu"},
  )


def processor() -> str:
  """Return the processor's name."""
  for line in Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith("model name"):
      return line.partition(":")[2].strip()
  return platform.processor()


def main() -> None:
  """Print GFLOP/s of each cell by each backend, and write them as JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--out", default="", help="a JSON file")
  parser.add_argument("--backend", choices=BACKENDS, help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.backend:
    work(given.backend)
    return
  there = [
    name
    for name in BACKENDS
    if name != "pytorch" or importlib.util.find_spec("torch")
  ]
  begun = {name: start(name) for name in there}
  best = {cell: dict.fromkeys(there, 0.0) for cell in cells()}
  for _ in range(given.rounds):
    for cell, found in best.items():
      for name, process in begun.items():
        print(cell, file=process.stdin, flush=True)
        rate = float(process.stdout.readline())
        found[name] = max(found[name], rate)
  for process in begun.values():
    process.communicate()
  print(f"GFLOP/s, float32, {processor()}, {os.cpu_count()} cores\n")
  print(f"| | {' | '.join(there)} |")
  print(f"| --- |{' --- |' * len(there)}")
  for cell, found in best.items():
    print(f"| {cell} | {' | '.join(f'{v:,.0f}' for v in found.values())} |")
  if given.out:
    Path(given.out).write_text(json.dumps(best, indent=2) + "\n")


if __name__ == "__main__":
  main()
