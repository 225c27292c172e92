r"""Greyscale photographs to colour, cell by cell.

    python -m launch.train --config=configs/colour.py --workdir=runs/colour
    python -m launch.colourise --image=photo.jpg --workdir=runs/colour

A photo is 14 × 14 cells; from four grey windows around a cell and z a decoder
gives its mean colour vector (x, y). The default trains model 3 on crops of
six photographs that installed packages bring along, a minute on 2 cores, to
see it work. Variants, joined by commas behind a colon:

    model=k    1 SiLU network, w 4 · 2 raw level joins, w 2.5 · 3 as 2, w 4 ·
               4 wider, w 2 · 5 as 4, w 2.5, all photos, 16 epochs · 6 as 4
               with 7 position features, w 2.5 · 7 as 6, all photos, 20 epochs
    prepared   the first 100 photos that prepare_photos.py prepared (all for
               models 5 and 7): the published experiment with roses
    useful     the encoder sees the true colour, so that z means something
    flowers    `prepared` with the settings that docs/colour.md reports: 320
               photos train, 80 are held out
    faithful   the KL of a second encoder pass with other dropout masks, as
               the source's graph mode probably computed it
    smoke      a few steps, to see that everything runs

    python data/prepare_photos.py --images=roses.zip --order=file \
      --out=data/photos_112
    python -m launch.train --config=configs/colour.py:model=3,prepared \
      --workdir=runs/colour_3

Oddities of the source. Its encoder sees only the grey that its decoder
sees too, so the latent carries nothing: the KL of a cell falls below 0.1 nats
and the five variants of a photo are nearly alike (`useful` mends it). Its
saturation term compares squared radii, so near grey it has no gradient. Its
published losses contain the L2 term, about 1.13 before the first step.

`useful`: p(x, y | z, grey) = N(output, 1/w) with w = 400, a standard
deviation of 0.05. By rate-distortion theory z then has about ln(w · v) nats for
each cell, where v is the variance of each coordinate given the grey.
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from cvae_jax.config import climb, loop, loss, optimiser, parse_variants

EPOCH = 612  # steps of the source's epoch: 19,600 cells by 32

# Model k is model k − 1 with these changes.
LADDER = (
  {},
  {"model.branch.skip": True, "loss.mse": 2.5},
  {"loss.mse": 4.0},
  {"model.branch.dense": 128, "loss.mse": 2.0},
  {"loss.mse": 2.5, "data.train_images": 0, "epochs": 16},
  {"model.positions": 7, "data.train_images": 100, "epochs": 5},
  {"data.train_images": 0, "epochs": 20},
)
USEFUL = {
  "data.mirrored": True,
  "model.encoder.sees_colour": True,
  "model.encoder.latents": 8,
  "model.branch.dropout": 0.3,
  "model.positions": 7,
  "loss.mse": 400.0,
  "loss.saturation": 0.0,
  "epochs": 4,
  "reference": "",
}
FLOWERS = {"data.train_images": 320, "data.test_images": 80, "reference": ""}
PACKAGES = {
  "data.source": "packages",
  "data.train_images": 0,
  "data.test_images": 0,
  "epochs": 5,
  "reference": "",
}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "model=3,prepared"."""
  known = {"model": 3, "prepared": False, "useful": False, "flowers": False}
  known |= {"faithful": False, "smoke": False}
  variant = parse_variants(arg, known)
  config = _base()
  climb(config, LADDER, variant["model"])
  config.reference = f"colouring/Model {variant['model']}"
  config.loss.kl_of_second_pass = variant["faithful"]
  if variant["useful"]:
    config.update_from_flattened_dict(USEFUL)
  if variant["flowers"]:
    config.update_from_flattened_dict(FLOWERS)
  elif not variant["prepared"]:
    config.update_from_flattened_dict(PACKAGES)
  if variant["smoke"]:
    config.data.train_images = 2
    config.epochs = 1
    config.log_every = 4
    config.reference = ""
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains: models 1 to 7."""
  for model in range(1, len(LADDER) + 1):
    yield f"model={model}"


def _base() -> ConfigDict:
  return ConfigDict(
    {
      "system": "colouring",
      **loop(epochs=5, log_every=102, checkpoint_every=EPOCH),
      "data": {
        "name": "photos",
        "source": "prepared",  # or packages
        "path": "",  # a folder that prepare_photos.py wrote
        "train_images": 100,  # the first ones; 0: all but the last fifth
        "test_images": 20,  # the last ones; 0: all that do not train
        "mirrored": False,  # also train on mirror images of the photos
      },
      "model": {
        "branch": {  # eight alike: four levels in encoder and decoder
          "features": (16, 32, 32, 48, 48),
          "dense": 96,
          "code": 32,
          "skip": False,
          "dropout": 0.45,
        },
        "encoder": {"hidden": 64, "latents": 120, "sees_colour": False},
        "decoder": {"hidden": 96},
        "positions": 2,  # features of a cell's place; or 7
      },
      "loss": loss(
        mse=4.0,  # weight of the mean squared error of x and y
        saturation=1.0,  # weight of the squared difference of squared radii
        l2=0.001,  # × squared convolution kernels
        kl_of_second_pass=False,
      ),
      "optim": optimiser(
        lr=0.001,
        decay=1e-6,  # lr / (1 + decay · step)
        eps=1e-7,
      ),
    }
  )
