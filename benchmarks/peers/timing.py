"""Time training steps of any framework the same way.

Neither PyTorch nor TensorFlow is imported here, so that every contender, ours
included, shares the arguments, the random data, the windows and the JSON line.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import time

import numpy as np

DIGITS_PARAMETERS = 4_455_057
DIGITS_EXAMPLES = 6_000
FACES_EXAMPLES = 320
COMPARE_EXAMPLES = 640
COMPARE_PARAMETERS = 8_669_123
COLOUR_PARAMETERS = 1_203_858
COLOUR_PHOTOS = 100
CELLS = 196  # of a photo


@dataclasses.dataclass(frozen=True)
class Faces:
  """Tell the rungs of the faces' ladder apart."""

  latents: int
  weight: float  # of the mean squared error
  parameters: int


ZOO = {"vae": 1_289_788, "scvae": 1_299_788, "aae": 4_581_787}  # parameters
FACES = {15: Faces(48, 1.0, 72_600_879), 9: Faces(40, 100.0, 65_464_591)}


def usable_cores():
  """Count the cores this process may run on, after any affinity mask."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def parse_arguments(settings, argv=None, models=(), **defaults):
  """Parse the arguments all contenders share; the first choice is default."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--setting", choices=settings, default=settings[0])
  parser.add_argument("--steps", type=int, default=40, help="per window")
  parser.add_argument("--windows", type=int, default=5)
  parser.add_argument("--warmup", type=int, default=10, help="untimed steps")
  parser.add_argument("--batch", type=int, default=32)
  parser.add_argument("--threads", type=int, default=min(2, usable_cores()))
  if models:
    kind = type(models[0])
    parser.add_argument("--model", type=kind, choices=models, default=models[0])
  parser.set_defaults(**defaults)
  return parser.parse_args(argv)


def parse_faces_arguments(settings, argv=None):
  """Parse the same with --model, and fewer steps by default."""
  shorter = {"steps": 6, "windows": 3, "warmup": 2}
  return parse_arguments(settings, argv, models=tuple(FACES), **shorter)


def parse_compare_arguments(settings, argv=None):
  """Parse the same for the VAE of 64×64 images: a step is long, a batch 64."""
  shorter = {"steps": 6, "windows": 3, "warmup": 2, "batch": 64}
  return parse_arguments(settings, argv, **shorter)


def parse_zoo_arguments(settings, argv=None):
  """Parse the same for the zoo: a step is short, a batch 128."""
  longer = {"steps": 100, "warmup": 20, "batch": 128}
  return parse_arguments(settings, argv, models=tuple(ZOO), **longer)


def random_digits(examples=DIGITS_EXAMPLES, seed=0):
  """Draw uint8 images [n, 28, 28] and conditions [n, 11], alike for all."""
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (examples, 28, 28), dtype=np.uint8)
  classes = np.eye(10, dtype=np.float32)[rng.integers(0, 10, examples)]
  ink = rng.uniform(-1, 1, (examples, 1)).astype(np.float32)
  return images, np.concatenate([classes, ink], axis=1)


def random_zoo(model):
  """Draw digits and the conditions of a model of the zoo: class or none."""
  images, conditions = random_digits()
  return images, conditions[:, : 10 if model == "scvae" else 0]


def random_faces(examples=FACES_EXAMPLES, seed=0):
  """Draw uint8 images [n, 120, 120, 3] and conditions [n, 5]."""
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (examples, 120, 120, 3), dtype=np.uint8)
  return images, rng.random((examples, 5), dtype=np.float32)


def random_compare(examples=COMPARE_EXAMPLES, seed=0):
  """Draw uint8 images [n, 64, 64, 3] and conditions [n, 0]."""
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (examples, 64, 64, 3), dtype=np.uint8)
  return images, np.zeros((examples, 0), np.float32)


def random_photos(photos=COLOUR_PHOTOS, seed=0):
  """Draw uint8 photos [n, 112, 112, 3] and the cell of each row [196 n]."""
  rng = np.random.default_rng(seed)
  shape = (photos, 112, 112, 3)
  cell = np.tile(np.arange(CELLS, dtype=np.int32), photos)
  return rng.integers(0, 256, shape, dtype=np.uint8), cell


def random_cells(examples=COLOUR_PHOTOS * CELLS, seed=0):
  """Draw pyramids uint8 [n, 4, 14, 14]; row, column and colour [n, 4].

  What a step is given that does not cut its own from photos.
  """
  rng = np.random.default_rng(seed)
  levels = rng.integers(0, 256, (examples, 4, 14, 14), dtype=np.uint8)
  place = rng.random((examples, 2), dtype=np.float32)
  colour = rng.uniform(-0.3, 0.3, (examples, 2)).astype(np.float32)
  return levels, np.concatenate([place, colour], axis=1)


def time_windows(step, arguments):
  """Return examples/s of each window and the last loss.

  `step` trains once and returns the loss, which is read only at the end of a
  window: reading waits for the step, so no work escapes the clock.
  """
  loss = float("nan")
  for _ in range(arguments.warmup):
    loss = float(step())
  rates = []
  for _ in range(arguments.windows):
    start = time.perf_counter()
    for _ in range(arguments.steps):
      loss = step()
    loss = float(loss)
    seconds = time.perf_counter() - start
    rates.append(arguments.steps * arguments.batch / seconds)
  return rates, loss


def report(framework, version, parameters, step, arguments):
  """Time `step` and print the JSON line that the driver reads."""
  rates, loss = time_windows(step, arguments)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  line = {
    "framework": framework,
    "setting": arguments.setting,
    "version": version,
    "parameters": parameters,
    "examples_per_second": round(statistics.median(rates), 2),
    "windows": [round(rate, 2) for rate in rates],
    "peak_rss_mib": round(peak, 1),
    "loss": loss,
  }
  print(json.dumps(line), flush=True)
