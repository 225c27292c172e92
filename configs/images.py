r"""Images of your own, of any size, with any conditions.

    python data/prepare_images.py --images=FOLDER --out=data/mine
    python -m launch.train --config=configs/images.py \
      --config.data.path=data/mine --workdir=runs/mine

The networks build themselves for the prepared images and their attributes.
docs/own_data.md has examples. Variants, joined by commas:

    size=64          checked against the prepared set: 64, or 48x80
    width=small      or medium, large: features of the layers
    blocks=plain     or residual
    system=cvae      the method; vae, aae or gan take the same data
    latents=vector   or hierarchy: several levels of them, of a cvae or vae
                     (docs/choices.md); model.levels says how many
    smoke            a few steps
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
  prior,
)

LATENTS = {"small": 32, "medium": 64, "large": 128}
SYSTEMS = ("cvae", "vae", "aae", "gan")


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "size=64,width=medium"."""
  known = {
    "size": "",
    "width": "small",
    "blocks": "plain",
    "system": "cvae",
    "latents": "vector",
    "smoke": False,
  }
  variant = parse_variants(arg, known)
  choices = {
    "width": tuple(LATENTS),
    "blocks": ("plain", "residual"),
    "system": SYSTEMS,
    "latents": ("vector", "hierarchy"),
  }
  for name, words in choices.items():
    if variant[name] not in words:
      raise ConfigError(f"{name}={variant[name]}: expected {', '.join(words)}")
  config = ConfigDict(_base(variant["width"], variant["blocks"]))
  config.system = variant["system"]
  config.data.size = variant["size"]
  if config.system != "cvae":  # a vae sees its condition without harmonics
    del config.model.harmonics
  change = {"aae": _aae, "gan": _gan}.get(variant["system"])
  if change:
    change(config)
  if variant["latents"] == "hierarchy":
    _hierarchy(config)
  if variant["smoke"]:
    config.epochs = 1
    config.log_every = 1
    config.batch_size = 16
  return config


def _base(width: str, blocks: str) -> dict[str, Any]:
  """Return the page of cvae; vae has the same keys."""
  return {
    "system": "cvae",
    **loop(batch_size=32, epochs=40, log_every=50, checkpoint_every=500),
    "data": {
      "name": "images",
      "path": "",  # the folder of a set of prepare_images.py
      "size": "",  # the images' size, to be checked; "": any
      "conditions": "all",  # or names of attributes, joined by commas
      "condition_dropout": 0.0,  # how often each is unknown while training
    },
    "model": {
      "latents": LATENTS[width],
      "width": width,
      "blocks": blocks,
      # An angle α is told as cos kα and sin kα, k from 1 to this.
      "harmonics": 6,
    },
    "loss": loss(),
    "prior": prior(),
    "optim": optimiser(lr=2e-3, ema=0.998),
  }


def _hierarchy(config: ConfigDict) -> None:
  """Latents of several levels, in place of one vector."""
  if config.system not in ("cvae", "vae"):
    raise ConfigError(
      f"latents=hierarchy is of system=cvae or vae; found {config.system}"
    )
  del config.model.latents
  # Latents of a pixel of each level's map, the smallest map first; () for 8, 4
  # and 2, on as many maps as the images have.
  config.model.levels = ()


def _aae(config: ConfigDict) -> None:
  """An adversarial autoencoder: it sees no condition."""
  config.data.conditions = ""
  del config.prior  # model.prior has the adversarial one
  config.model.update(
    {
      "prior": "normal",
      "slots": 0,
      "noise": "",
      "noise_level": 0.0,
      "discriminator": mlp(
        256, 256, activation="leaky_0.15", initialiser="glorot_uniform"
      ),
    }
  )
  config.loss = ConfigDict({"mse": 0.5})
  config.optim.update({"lr": 1e-3, "ema": 0.0})
  config.optim.update({"adversarial_lr": 2e-4, "generator_updates": 1})


def _gan(config: ConfigDict) -> None:
  """A WGAN-GP: it sees no condition."""
  config.data.conditions = ""
  del config.prior
  config.loss = ConfigDict({"kind": "wasserstein", "penalty": 10.0})
  config.loss.update({"r1": 0.0, "label_smoothing": 0.0})
  config.optim.update({"lr": 2e-4, "ema": 0.0})
  config.optim.update({"b1": 0.5, "critic_steps": 3})
