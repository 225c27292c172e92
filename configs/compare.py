r"""Autoencoder, VAE, GAN and WGAN-GP on the same faces.

    python data/prepare_faces.py --images=FOLDER_OR_ZIP --table=TABLE \
      --size=64 --resize=antialias --out=data/faces_64
    python -m launch.train --config=configs/compare.py:vae,size=64 \
      --workdir=runs/compare/vae
    python -m launch.sweep --config=configs/compare.py --workdir=runs/compare

One of ae, vae (the default), gan, wgan_gp, and variants, joined by commas:

    size=n     256 (default), 128 or 64 pixels: as many layers as end at 4×4
    latent=n   128 (default, the source's first) or 512, or any other
    beta=x     vae: the weight of the KL
    mean       vae, ae: BCE and KL averaged over pixels and latents, as
               frameworks do by default, instead of summed; the suspect for
               the collapse that the source blames on 128 latents
    smooth     gan: the label of real images is 0.9 for the critic (one-sided
               label smoothing)
    r1         gan: an R1 penalty of weight 10 on a critic without batch
               normalisation
    ema        gan, wgan_gp: the parameters' running mean is evaluated
    distance=n each evaluation compares n samples with n held-out images:
               sliced Wasserstein of pixels (at least n must be held out);
               with --config.distance.frechet=64 by VGG16's features too
    stop       gan, wgan_gp, with distance=n: the run ends by that distance:
               its running mean has not improved by 1 % for 5 epochs; the
               best state is kept
    smoke      a few steps on drawn faces, at size 64 unless one is named

No attributes are read, so any folder of images serves:

    python data/prepare_photos.py --images=FOLDER --size=256 --fit=crop \
      --resize=antialias --on_grey=keep --out=data/faces_256

The source gives the models, CelebA-HQ at 256×256, the binary cross-entropy,
sigmoid outputs, and early stopping on the validation loss in every epoch with
patience 2 (ae, vae). The rest follows DCGAN: its networks, Adam at 2e-4 (1e-4
for WGAN-GP), batches of 64. For the source's split of 30,000 images set
--config.data.train_rows=28000; by default the last tenth is held out. The GANs
stop early only with `stop`, since their losses do not tell the quality. A step
of wgan_gp is a step of its critic; the generator moves in every fifth.

The sweep repeats the source's comparison at 64×64: ae, gan and wgan_gp with
128 and 512 latents, vae with these, with both reductions and with beta 0.1, 1
and 4. With configs/compare.py:distance=n the runs record distances of samples,
and `python -m launch.report compare` compares these with the losses.
tests/compare_test.py has the parameter counts, docs/compare.md the results.
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.config import (
  ConfigError,
  check_used,
  choose_system,
  loop,
  loss,
  optimiser,
  parse_variants,
)

WIDTHS = {  # of the trunk, by the image's size
  256: (64, 128, 256, 512, 512, 512),
  128: (64, 128, 256, 512, 512),
  64: (64, 128, 256, 512),
}
DATA = {
  "name": "faces",
  "source": "prepared",  # or synthetic
  # A folder that prepare_faces.py or prepare_photos.py wrote; "" for faces_256,
  # by the size of the images, in the data folder.
  "path": "",
  "image_shape": (256, 256, 3),
  "conditions": 0,
  "names": (),
  "ranges": (),
  "train_rows": 0,  # 0: all but the last tenth
  "split_column": "",
  "count": 0,  # number of synthetic faces
}
TRUNK = {
  "features": WIDTHS[256],
  "norm": "batch_0.9",  # or layer, or "" for none; never the first layer's
  "slope": 0.2,
  "initialiser": "normal",  # N(0, 0.02²)
}
DECODER = {
  "map": (4, 4, WIDTHS[256][-1]),
  "features": (512, 512, 256, 128, 64, 3),
  "norm": "batch_0.9",
  "initialiser": "normal",
}
LOOP = {
  "log_every": 20,
  "checkpoint_every": 200,
  "products": "ynnpack",  # 1 to 8 % faster: docs/performance_report.md
}
VAE = {
  "system": "autoencoder",
  **loop(
    batch_size=64,
    epochs=100,
    early_stop={"metric": "loss", "patience": 2, "restore": True},
    **LOOP,
  ),
  "data": DATA,
  "model": {
    "latents": 128,
    "variational": True,
    "encoder": TRUNK,
    "decoder": DECODER,
  },
  "loss": loss(
    beta=1.0,  # weight of the KL
    reduction=("sum", "sum"),  # over pixels and over latents; or mean
  ),
  "optim": optimiser(lr=2e-4, decay=0.0, b1=0.9, eps=1e-8),
}
AE = VAE | {"model": VAE["model"] | {"variational": False}}
GAN = {
  "system": "gan",
  **loop(batch_size=64, epochs=100, **LOOP),
  "data": DATA,
  "model": {"latents": 128, "generator": DECODER, "critic": TRUNK},
  "loss": {
    "kind": "logistic",  # or wasserstein
    "penalty": 0.0,  # weight of (|∇D| − 1)² between real and drawn images
    "r1": 0.0,  # twice the weight of |∇D|² at real images
    "label_smoothing": 0.0,  # the label of real images is 1 less this
  },
  "optim": optimiser(
    lr=2e-4,
    b1=0.5,
    b2=0.999,
    eps=1e-8,
    critic_steps=1,  # steps of the critic for one of the generator
  ),
}
WGAN_GP = GAN | {
  "model": GAN["model"] | {"critic": TRUNK | {"norm": "layer"}},
  "loss": GAN["loss"] | {"kind": "wasserstein", "penalty": 10.0},
  "optim": GAN["optim"] | {"lr": 1e-4, "b1": 0.0, "b2": 0.9, "critic_steps": 5},
}
PAGES = {"ae": AE, "vae": VAE, "gan": GAN, "wgan_gp": WGAN_GP}
SMOKE = {
  "data.source": "synthetic",
  "data.count": 48,
  "batch_size": 8,
  "epochs": 1,
  "log_every": 1,
  "checkpoint_every": 5,
}
STOP = {
  "early_stop.metric": "sliced",
  "early_stop.patience": 5,
  "early_stop.relative": 0.01,
  "early_stop.smoothing": 0.5,
  "early_stop.restore": True,
}
ADDITIONS = {  # what practice adds to the source's GAN
  "smooth": {"loss.label_smoothing": 0.1},
  "r1": {"loss.r1": 10.0, "model.critic.norm": ""},
  "ema": {"optim.ema": 0.999},
}
KNOWN = {
  "size": 0,
  "latent": 128,
  "beta": 1.0,
  "mean": False,
  "smooth": False,
  "r1": False,
  "ema": False,
  "distance": 0,
  "stop": False,
  "smoke": False,
}
ONLY = {
  "beta": ("vae",),
  "mean": ("ae", "vae"),
  "smooth": ("gan",),
  "r1": ("gan",),
  "ema": ("gan", "wgan_gp"),
  "stop": ("gan", "wgan_gp"),
}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a system and variants, e.g. "gan,latent=512"."""
  variant = parse_variants(arg, dict.fromkeys(PAGES, False) | KNOWN)
  name = choose_system(PAGES, variant, "vae")
  config = ConfigDict(PAGES[name])
  check_used(variant, KNOWN, ONLY, name)
  config.update_from_flattened_dict(_size_changes(name, variant))
  config.model.latents = variant["latent"]
  if name in ONLY["mean"]:
    config.loss.beta = variant["beta"]
    config.loss.reduction = ("mean" if variant["mean"] else "sum",) * 2
  for addition, changes in ADDITIONS.items():
    if variant[addition]:
      config.update_from_flattened_dict(changes)
  config.distance.images = variant["distance"]
  if variant["stop"]:
    config.update_from_flattened_dict(STOP)
  if variant["smoke"]:
    config.update_from_flattened_dict(SMOKE)
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains."""
  cells = [f"size=64,latent={latent}" for latent in (128, 512)]
  yield from (f"{n},{cell}" for n in ("ae", "gan", "wgan_gp") for cell in cells)
  for cell in cells:
    for reduction in ("", ",mean"):
      yield from (f"vae,{cell},beta={b}{reduction}" for b in (0.1, 1, 4))


def _size_changes(name: str, variant: dict[str, Any]) -> dict[str, Any]:
  """Return the changes that the images' size asks for.

  Raises:
    ConfigError: there are no widths for it.
  """
  size = variant["size"] or (64 if variant["smoke"] else 256)
  if size not in WIDTHS:
    raise ConfigError(f"size={size}: one of {', '.join(map(str, WIDTHS))}")
  widths = WIDTHS[size]
  trunk, decoder = (
    ("critic", "generator") if "gan" in name else ("encoder", "decoder")
  )
  return {
    "data.image_shape": (size, size, 3),
    f"model.{trunk}.features": widths,
    f"model.{decoder}.map": (4, 4, widths[-1]),
    f"model.{decoder}.features": (*widths[-2::-1], 3),
  }
