"""The two formulations of a convolution, forward and back, layer by layer.

Shapes are those of the faces' model 15, the digits' model 4 and the 64×64
networks of configs/compare.py.
"""

import statistics
import sys
import time
from concurrent import futures

import gpu_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
from gpu_cases import Case

from cvae_jax.nets.fast import conv

# name: (function, map [B, H, W, C], kernel's side, filters, stride)
LAYERS = {
  "faces encoder 1": (conv.conv, (32, 120, 120, 3), 4, 32, 2),
  "faces encoder 2": (conv.conv, (32, 60, 60, 32), 4, 48, 2),
  "faces decoder 1": (conv.conv_transpose, (32, 15, 15, 120), 4, 80, 2),
  "faces decoder 2": (conv.conv_transpose, (32, 30, 30, 80), 4, 60, 2),
  "faces decoder 3": (conv.conv_transpose, (32, 60, 60, 60), 4, 40, 2),
  "faces decoder 4": (conv.conv_transpose, (32, 120, 120, 40), 4, 3, 1),
  "digits decoder 1": (conv.conv_transpose, (32, 7, 7, 64), 3, 64, 2),
  "digits decoder 2": (conv.conv_transpose, (32, 14, 14, 64), 3, 32, 2),
  "64×64 encoder 2": (conv.conv, (64, 32, 32, 64), 4, 128, 2),
  "64×64 encoder 4": (conv.conv, (64, 8, 8, 256), 4, 512, 2),
  "64×64 decoder 1": (conv.conv_transpose, (64, 4, 4, 512), 4, 256, 2),
  "64×64 decoder 4": (conv.conv_transpose, (64, 32, 32, 64), 4, 3, 2),
}


def _gradients(how, stride: int):
  def loss(x, kernel, g):
    return (how(x, kernel, stride) * g).sum()

  return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


def _lower(name: str, precision: str, form: str):
  how, shape, side, filters, stride = LAYERS[name]
  rng = np.random.default_rng(0)
  x = rng.standard_normal(shape, np.float32)
  kernel = rng.standard_normal((side, side, shape[-1], filters), np.float32)
  with cases.trace_as(Case("", precision, form)):
    out = jax.eval_shape(lambda x, k: how(x, k, stride), x, kernel)
    g = rng.standard_normal(out.shape, np.float32)
    given = jax.device_put((x, kernel, g))
    return _gradients(how, stride).lower(*given), given


def _time(compiled, given, arguments) -> float:
  """Return the median of windows' milliseconds a call."""
  jax.block_until_ready(compiled(*given))
  calls = 2 if arguments.dry else 100
  taken = []
  for _ in range(1 if arguments.dry else arguments.windows):
    start = time.perf_counter()
    for _ in range(calls):
      result = compiled(*given)
    jax.block_until_ready(result)
    taken.append((time.perf_counter() - start) / calls * 1e3)
  return statistics.median(taken)


def _relative_distance(one, other) -> float:
  """Return how far two lists of gradients are apart, beside their norm."""
  apart = [
    jnp.linalg.norm(a - b) / jnp.linalg.norm(b)
    for a, b in zip(one, other, strict=True)
  ]
  return float(max(apart))


def run(arguments, deadline: float) -> list[dict]:
  """Time every layer in both formulations and precisions; a row for each."""
  names = list(LAYERS)[4:7] if arguments.dry else list(LAYERS)
  keys = [
    (name, precision, form)
    for name in names
    for precision in ("tf32", "float32")
    for form in cases.FORMS
  ]
  with futures.ThreadPoolExecutor(arguments.threads) as pool:
    lowered = {key: _lower(*key) for key in keys}
    compiled = {
      key: pool.submit(program.compile) for key, (program, _) in lowered.items()
    }
    futures.wait(compiled.values(), timeout=max(1, deadline - time.monotonic()))
  rows = []
  for name in names:
    for precision in ("tf32", "float32"):
      row = {"layer": name, "precision": precision}
      gradients = {}
      for form in cases.FORMS:
        key = name, precision, form
        try:
          program = compiled[key].result(timeout=0.1)
          given = lowered[key][1]
          row[form] = _time(program, given, arguments)
          gradients[form] = program(*given)[1]
        except Exception as error:
          print(f"{key}: {error}"[:300], file=sys.stderr)
      if len(gradients) == len(cases.FORMS):
        row["ratio"] = row["matmul"] / row["lax"]
        row["apart"] = _relative_distance(gradients["matmul"], gradients["lax"])
      rows.append(row)
  return rows
