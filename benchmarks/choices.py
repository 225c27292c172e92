"""What choices cost and give: a step of each beside the plain one; priors.

    python -m benchmarks.choices [--page=zoo:scvae] [--steps=20] [--rounds=5]
    python -m benchmarks.choices --only="likelihood=logistic+objective=factor"
    python -m benchmarks.choices --page=images --beside=images:latents=hierarchy
    python -m benchmarks.choices --run=DIR [--vgg]

The first prints each choice's time of a step divided by the plain one's, on
drawn data; the second so of some choices alone. Steps are taken in turns of all
choices. Of the time, a step's least counts, so that other processes matter
little; beside it is the processors' time of all threads, the least mean of a
turn. The third does so with one page beside another, of drawn photos of 64×64
pixels where a page has no size. The last prints Fréchet distances of a run's
samples from held-out images, by 64 random projections of the pixels, with z of
the run's own prior, of a fitted Gaussian and of a fitted mixture, and of
reconstructions: what no prior can better. With --vgg the distances are of
VGG16's features (`frechet_vgg16`), of as many samples as there are held-out
images, up to 1,000: the mean and the standard deviation over four sets.
"""

import argparse
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import jax
import numpy as np

from cvae_jax import config, runs
from cvae_jax.data import Dataset
from cvae_jax.host import cpu
from cvae_jax.host.images import to_bytes
from cvae_jax.loop import begin, distances
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.measures.collapse import Held
from cvae_jax.metrics import frechet
from cvae_jax.types import Facts

PHOTO = (64, 64, 3)
CONDITIONS = 4  # of a photo
CHOICES = {
  "plain": {},
  "likelihood=sigma": {"loss.likelihood": "sigma"},
  "likelihood=continuous_bernoulli": {
    "loss.likelihood": "continuous_bernoulli"
  },
  "likelihood=logistic": {"loss.likelihood": "logistic"},
  "beta=4": {"loss.beta": 4.0},
  "kl.warmup": {"loss.kl.warmup": 100},
  "kl.free_bits": {"loss.kl.free_bits": 0.1},
  "kl.capacity": {"loss.kl.capacity": 20.0},
  "objective=iwae, samples=5": {
    "loss.objective": "iwae",
    "loss.samples": 5,
  },
  "objective=dreg, samples=5": {
    "loss.objective": "dreg",
    "loss.samples": 5,
  },
  "objective=tc": {"loss.objective": "tc"},
  "objective=mmd": {"loss.objective": "mmd"},
  "objective=dip_i": {"loss.objective": "dip_i"},
  "objective=dip_ii": {"loss.objective": "dip_ii"},
  "objective=factor": {"loss.objective": "factor"},
  "prior=conditional": {"prior.name": "conditional"},
  "prior=mixture": {"prior.name": "mixture"},
  "prior=vamp": {"prior.name": "vamp"},
  "optim=adamw": {"optim.name": "adamw", "optim.weight_decay": 0.01},
  "optim=lion": {"optim.name": "lion"},
  "optim.schedule=cosine": {"optim.schedule": "cosine", "optim.steps": 1000},
  "optim.clip": {"optim.clip": 1.0},
  "optim.ema": {"optim.ema": 0.999},
  "optim.accumulate=2": {"optim.accumulate": 2},
}


class Steps:
  """A choice's training steps on one drawn batch."""

  def __init__(self, page: str, changes: dict):
    wanted = config.load(page, changes)
    stated = "image_shape" in wanted.data
    shape = tuple(wanted.data.image_shape) if stated else PHOTO
    width = wanted.data.conditions if stated else CONDITIONS
    columns = {"image": shape, "condition": (width,)}
    self.system = config.resolve(wanted, Facts(columns, rows=60_000))
    generator = np.random.default_rng(0)
    size = wanted.batch_size
    self.batch = {
      "image": generator.integers(0, 256, (size, *shape)).astype(np.uint8),
      "condition": np.eye(max(width, 1), dtype=np.float32)[
        generator.integers(0, max(width, 1), size)
      ][:, :width],
    }
    self.key = jax.random.key(0)
    self.state = begin.compile_fast(self.system.init)(self.key)
    self.step = jax.jit(self.system.step, donate_argnums=0)
    self.at = 0

  def take(self, steps: int) -> np.ndarray:
    """Return the least seconds of a step, and the mean of all threads' [2]."""
    taken = []
    busy = time.process_time()
    for _ in range(steps):
      begun = time.perf_counter()
      self.state, metrics = self.step(
        self.state, self.batch, self.key, np.int32(self.at)
      )
      jax.block_until_ready(metrics)
      self.at += 1
      taken.append(time.perf_counter() - begun)
    busy = time.process_time() - busy
    return np.array([min(taken), busy / steps])


def costs(
  page: str, steps: int, rounds: int, beside: str = "", only: str = ""
) -> None:
  """Print each choice's cost, or another page's, beside the plain one's."""
  names = ["plain", *only.split("+")] if only else list(CHOICES)
  if unknown := set(names) - set(CHOICES):
    sys.exit(f"--only: no choice {unknown}; known: {'+'.join(CHOICES)}")
  wanted = {name: (page, CHOICES[name]) for name in names}
  if beside:
    wanted = {"plain": (page, {}), beside: (beside, {})}
  timed = {}
  for name, asked in wanted.items():
    try:
      timed[name] = Steps(*asked)
    except ValueError as error:
      print(f"{name}: left out: {error}")
      continue
    timed[name].take(3)  # compile
  least = dict.fromkeys(timed, np.full(2, np.inf))
  for _ in range(rounds):
    for name, one in timed.items():
      least[name] = np.minimum(least[name], one.take(steps))
  plain = least["plain"]
  print(f"\n{page}: plain {1000 * plain[0]:.2f} ms a step\n")
  print("| choice | × plain | × its processors' time |\n| --- | --- | --- |")
  for name, seconds in least.items():
    print(f"| {name} | {' | '.join(f'{x:.2f}' for x in seconds / plain)} |")


def frechet_distance(images: np.ndarray, real: np.ndarray) -> float:
  """Return the Fréchet distance of images in [0, 1] from real ones of bytes."""
  size = real[0].size
  across = np.random.default_rng(0).normal(0, size**-0.5, (size, 64))
  both = [
    frechet.moments([x.reshape(len(x), size) @ across])
    for x in (images, real / 255.0)
  ]
  return frechet.distance(*both)


def make_distance(dataset: Dataset, vgg: bool) -> Callable[..., float]:
  """Return a function of images [N, ...] in [0, 1]: their Fréchet distance."""
  if not vgg:
    return lambda images: frechet_distance(images, dataset.test["image"])
  rule = SimpleNamespace(images=1000, sliced=0, frechet=0, directions=256)
  held = Held(dataset, rule, distances.load_embedding())
  return lambda images: held.judge(to_bytes(images[: held.count]))[
    distances.FRECHET
  ]


def priors(folder: str, vgg: bool) -> None:
  """Print Fréchet distances of samples by each prior."""
  run = runs.load(folder)
  dataset = load_data(run.folder, run.config.data)
  test = dataset.test
  condition = np.asarray(test["condition"])
  distance = make_distance(dataset, vgg)
  print("| z of | Fréchet distance |\n| --- | --- |")
  for name in ("", "fitted", "fitted:10"):
    drawn = [run.sample(condition, seed, prior=name) for seed in range(4)]
    if vgg:
      each = [distance(images) for images in drawn]
      found = f"{np.mean(each):.1f} ± {np.std(each, ddof=1):.1f}"
    else:
      found = f"{distance(np.concatenate(drawn)):.3f}"
    print(f"| {name or 'own prior'} | {found} |", flush=True)
  again = run.decode(run.encode(test["image"], condition).mean, condition)
  print(f"| reconstructions | {distance(again):.3f} |")


def main() -> None:
  """Print the table that is asked for."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--page", default="zoo:scvae")
  parser.add_argument("--beside", default="")
  parser.add_argument("--only", default="")
  parser.add_argument("--steps", type=int, default=20)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--run", default="")
  parser.add_argument("--vgg", action="store_true")
  arguments = parser.parse_args()
  if arguments.run:
    priors(arguments.run, arguments.vgg)
  else:
    how = (arguments.steps, arguments.rounds)
    costs(arguments.page, *how, arguments.beside, arguments.only)


if __name__ == "__main__":
  cpu.tune(restart=cpu.is_command(sys.orig_argv))
  main()
