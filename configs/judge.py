r"""Judge of prepared images: one network that reads all their attributes.

    python -m launch.train --config=configs/judge.py \
      --config.data.path=data/mine --workdir=runs/judge
    python -m launch.evaluate --workdir=runs/mine --judge=runs/judge

It trains on the prepared set's training rows; its held-out rows say how well
it reads real images. Variants, joined by commas: `width=small`, medium or
large; `smoke`.
"""

from ml_collections import ConfigDict

from cvae_jax.config import ConfigError, loop, optimiser, parse_variants

FEATURES = {
  "small": (16, 32, 64),
  "medium": (32, 64, 96, 128),
  "large": (64, 96, 128, 192),
}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "width=medium"."""
  variant = parse_variants(arg, {"width": "small", "smoke": False})
  if variant["width"] not in FEATURES:
    raise ConfigError(
      f"width={variant['width']}: expected {', '.join(FEATURES)}"
    )
  config = ConfigDict(_base(FEATURES[variant["width"]]))
  if variant["smoke"]:
    config.epochs = 1
    config.log_every = 1
    config.batch_size = 16
  return config


def _base(features: tuple[int, ...]) -> dict:
  return {
    "system": "judge",
    **loop(batch_size=32, epochs=15, log_every=50, checkpoint_every=500),
    "data": {
      "name": "images",
      "path": "",  # the folder of a set of prepare_images.py
      "size": "",  # the images' size, to be checked; "": any
      "conditions": "all",  # or names of attributes, joined by commas
      "condition_dropout": 0.0,  # a judge learns from what is known
    },
    "model": {"features": features, "dense": 128, "dropout": 0.2},
    "loss": {
      "weight": 2.0,  # of squared errors of numbers and angles, beside nats
      "l2": 0.0,  # weight of the squared dense kernels
    },
    "optim": optimiser(lr=2e-3, decay=2e-3, eps=1e-8, clip=1.0),
  }
