"""Conditional VAEs on 120×120 faces: a ladder of 15.

    python data/prepare_faces.py --images=… --table=… --order=file
    python -m launch.train --config=configs/faces.py:model=9 --workdir=runs/f9
    python -m launch.sweep --config=configs/faces.py --workdir=runs/faces
    python -m launch.table runs/faces

Five conditions: male, female, hair colour (1 dark), mouth and eyes (1 open).
Variants, joined by commas:

    model=k    rung 1 to 15; rung k is rung k − 1 with LADDER's changes
    useful     β = 1 and heads without tanh, so that z holds a face: what
               editing needs (the source's weights leave z next to nothing)
    faithful   the KL of a second encoder pass with other dropout masks, as
               the source's graph mode computed it
    smoke      a few steps on drawn faces: nothing to download

The loss is W · mean squared error over the 43,200 values + KL + L2, so W is
no ratio of an ELBO: relative to ½·SSE + β·KL, β = 43,200 / (2 W).
Without :smoke the data are 2,976 faces of your own, 93 batches an epoch.
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

SIZE = 120
VALUES = SIZE * SIZE * 3
EPOCH = 93  # steps of the source's epoch: 2,976 faces by 32

DATA = {
  "name": "faces",
  "source": "prepared",  # or synthetic
  "path": "",  # a set of prepare_faces.py; "": faces_120
  "image_shape": (SIZE, SIZE, 3),
  "conditions": 5,
  "names": ("male", "female", "hair_color", "mouth", "eyes"),
  "ranges": ((0.0, 1.0),) * 5,
  "train_rows": 2976,
  "split_column": "",  # e.g. person: no person is in both splits
  "count": 0,  # number of synthetic faces
  "binarise": "",  # draw values 0 or 1: dynamic, each step; static, once
}


def _weight(w: float) -> float:
  """Turn the source's W, on a mean, into a weight on the sum."""
  return w / VALUES


LADDER = (
  {},
  {"model.encoder.latents": 256},
  {  # wider, and back to 40 latents
    "model.encoder.latents": 40,
    "model.encoder.features": (32, 48, 64, 96),
    "model.encoder.dense": 192,
    "model.encoder.side": 64,
    "model.decoder.dense": 256,
    "model.decoder.map": (15, 15, 120),
    "model.decoder.features": (80, 60, 40, 3),
  },
  {"model.encoder.kernel": 4, "model.decoder.kernel": 4},
  {"model.encoder.streams": (64, 64), "model.encoder.side_condition": True},
  {"model.encoder.head_condition": True},
  {"model.encoder.head_activation": "tanh"},
  {"model.decoder.shortcuts": "z"},
  {"model.decoder.shortcuts": "z+condition"},
  {"model.encoder.latents": 80},
  {"model.encoder.latents": 40, "loss.mse": _weight(5)},
  {"model.encoder.latents": 30},
  {"loss.mse": _weight(2)},
  {"model.encoder.latents": 48},
  {"loss.mse": _weight(1)},
)
USEFUL = {
  "loss.mse": 0.5,  # × SSE: −log p(x | z) of N(output, 1)
  "model.encoder.head_activation": "linear",  # tanh lets z have 0.7 nats each
  "reference": "",
}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "model=9"."""
  known = {"model": 15, "useful": False, "faithful": False, "smoke": False}
  variant = parse_variants(arg, known)
  config = _base()
  climb(config, LADDER, variant["model"])
  config.reference = f"faces/{variant['model']}"
  config.loss.kl_of_second_pass = variant["faithful"]
  if variant["useful"]:
    config.update_from_flattened_dict(USEFUL)
  if variant["smoke"]:
    config.data.source = "synthetic"
    config.data.count = 256
    config.epochs = 1
    config.log_every = 2
    config.reference = ""
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains: the whole ladder."""
  for model in range(1, len(LADDER) + 1):
    yield f"model={model}"


def _base() -> ConfigDict:
  return ConfigDict(
    {
      "system": "cvae",
      **loop(epochs=16, log_every=31, checkpoint_every=EPOCH),
      "data": dict(DATA),
      "model": {
        "encoder": {
          "features": (32, 32, 48, 64),
          "strides": (2, 2, 2, 1),
          "dropout": (0.45, 0.45, 0.45, 0.0),
          "dense": 128,
          "side": 32,
          "latents": 40,
          "kernel": 3,
          "activation": "silu",
          "side_condition": False,
          "streams": (),
          "head_condition": False,
          "head_activation": "linear",
        },
        "decoder": {
          "dense": 160,
          "map": (15, 15, 80),
          "features": (60, 40, 40, 3),
          "strides": (2, 2, 2, 1),
          "dropout": (0.45, 0.45, 0.45, 0.0),
          "kernel": 3,
          "activation": "silu",
          "shortcuts": "",
        },
      },
      "loss": loss(
        mse=_weight(100),
        grey=0.0,
        grey_start=0,
        l2=0.001,
      ),
      "prior": prior(),
      "optim": optimiser(
        lr=0.0002,
        decay=1e-6,
        eps=1e-7,
        staircase={
          "factor": 0.99,
          "floor": 1e-4,
          "start": 4 * EPOCH,
          "every": EPOCH,
        },
      ),
    }
  )
