"""Images of your own, of any size, with any conditions.

    python data/prepare_images.py --images=FOLDER --out=data/mine
    python -m launch.train --config=configs/images.py \
      --config.data.path=data/mine --workdir=runs/mine

The networks build themselves for the prepared images and their attributes.
docs/own_data.md has examples. Variants, joined by commas:

    size=64          checked against the prepared set: 64, or 48x80
    width=small      or medium, large: features of the layers
    blocks=plain     or residual
    system=cvae      the method
    smoke            a few steps
"""

from ml_collections import ConfigDict

from cvae_jax.config import ConfigError, loop, parse_variants

LATENTS = {"small": 32, "medium": 64, "large": 128}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "size=64,width=medium"."""
  known = {
    "size": "",
    "width": "small",
    "blocks": "plain",
    "system": "cvae",
    "smoke": False,
  }
  variant = parse_variants(arg, known)
  if variant["width"] not in LATENTS:
    raise ConfigError(
      f"width={variant['width']}: expected {', '.join(LATENTS)}"
    )
  if variant["blocks"] not in ("plain", "residual"):
    raise ConfigError(f"blocks={variant['blocks']}: expected plain, residual")
  config = ConfigDict(_cvae(variant["width"], variant["blocks"]))
  config.data.size = variant["size"]
  if variant["smoke"]:
    config.epochs, config.log_every, config.batch_size = 1, 1, 16
  return config


def _cvae(width: str, blocks: str) -> dict:
  return {
    "system": "cvae",
    **loop(batch_size=32, epochs=40, log_every=50, checkpoint_every=500),
    "data": {
      "name": "images",
      "path": "",  # that prepare_images.py wrote
      "size": "",  # of the images, to be checked; "" for any
      "conditions": "all",  # or names of attributes, joined by commas
      "condition_dropout": 0.0,  # how often each is unknown while training
    },
    "model": {"latents": LATENTS[width], "width": width, "blocks": blocks},
    "loss": {
      "mse": 0.5,  # × squared error: −log p(x | z) of N(output, 1)
      "beta": 1.0,  # × KL
      "grey": 0.0,
      "grey_start": 0,
      "l2": 0.0,
    },
    "optim": {"lr": 1e-3, "decay": 0.0, "eps": 1e-8},
  }
