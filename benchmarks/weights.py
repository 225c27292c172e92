"""What a weight of the reconstruction gives: sigma beside a grid; free bits.

    python -m benchmarks.weights [--page=PAGE] [--data=PATH] [--epochs=30]
      [--only=sigma+mse=10]

A page is trained with the likelihood sigma, which has no weight, and as a
Gaussian with each weight of the grid; then with a β at which latents die, with
and without free bits. Of each the ELBO of test images under its own variance,
the KL, the active latents, and the Fréchet distance of samples from test
images by 64 random projections of the pixels.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.choices import frechet_distance
from cvae_jax import config, runs, train
from cvae_jax.host import cpu
from cvae_jax.loop import evaluate, keys
from cvae_jax.loop.feed import Feed, check
from cvae_jax.loop.folder.run_data import load_data
from cvae_jax.loop.run import posteriors

GRID = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
COLLAPSE = {"loss.beta": 30.0}
CASES = {
  "sigma": {"loss.likelihood": "sigma"},
  **{
    f"mse={weight:g}": {"loss.likelihood": "gaussian", "loss.mse": weight}
    for weight in GRID
  },
  "beta=30": COLLAPSE,
  "beta=30, free_bits=0.5": {**COLLAPSE, "loss.kl.free_bits": 0.5},
}


def row(page: str, changes: dict, folder: Path) -> str:
  """Train a case and return its figures as a row of a table."""
  train.train_and_evaluate(config.load(page, changes), folder)
  run = runs.load(folder)
  test = load_data(run.folder, run.config.data).test
  mean = evaluate.make_mean(run.system.evaluate)
  split = Feed(check(test, run.system.columns))
  key = keys.address(0, "evaluate")
  terms = mean(run.state, split, run.config.batch_size, key)
  condition = np.asarray(test["condition"])
  usage = posteriors.measure_usage(run, test["image"], condition)
  samples = [run.sample(condition, seed) for seed in range(4)]
  distance = frechet_distance(np.concatenate(samples), test["image"])
  return (
    f"| {terms['elbo']:.1f} | {terms['kl']:.1f} | "
    f"{usage['active']} of {usage['of']} | {distance:.3f} |"
  )


def main() -> None:
  """Print the table, a row when it is known."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--page", default="zoo:vae,latents=10")
  parser.add_argument("--data", default="")
  parser.add_argument("--epochs", type=int, default=30)
  parser.add_argument("--only", default="", help="cases, by +; all without")
  asked = parser.parse_args()
  cases = asked.only.split("+") if asked.only else CASES
  every = {"epochs": asked.epochs, "evaluate_every_epochs": asked.epochs}
  if asked.data:
    every["data.path"] = asked.data
  print(
    "| case | ELBO | KL | active | Fréchet |\n| --- | --- | --- | --- | --- |"
  )
  with tempfile.TemporaryDirectory() as folder:
    for i, name in enumerate(cases):
      found = row(asked.page, every | CASES[name], Path(folder) / str(i))
      print(f"| {name} {found}", flush=True)


if __name__ == "__main__":
  cpu.tune(restart=cpu.is_command(sys.orig_argv))
  main()
