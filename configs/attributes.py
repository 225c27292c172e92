"""Attribute models of 120×120 faces: they judge samples.

    python -m launch.train --config=configs/attributes.py:gender --workdir=DIR
    python -m launch.sweep --config=configs/attributes.py --workdir=runs/judges

One variant names the attribute; in brackets is its number of parameters:
`gender` (4,100,898), `hair` (2,101,857), `mouth` (1,446,497), `eyes` (985,073).
Except for `gender` they see male and female in addition to the image: in
training those of the table, on samples those that the gender model reads. As in
the source, `background_mean` (2,101,857) and `background_std` (8,356,963) need
columns of these names in the table. The source's model of a second person is
left out: it failed, and the source did not use it.

More variants, joined by commas:

    column=X   reads any column of 0 and 1 of the table. The network is that of
               hair. It sees only the image, and its loss is the cross-entropy:
               by squared error it would not learn an attribute that few faces
               have. Judges of the CAAE are column=Male,size=64 and so on
    size=n     of the images, 120 by default; mouth and eyes crop 120
    faithful   the last epoch's weights, as the source saved them; without it
               the epoch with the lowest held-out loss is the final state
    smoke      an epoch on drawn faces: nothing to download

The loss that is watched is the source's, L2 included. The last tenth of the
rows is held out: unlike the source's it need not be female only.
"""

from collections.abc import Iterator

from ml_collections import ConfigDict

from cvae_jax.config import ConfigError, loop, optimiser, parse_variants

NAMES = ("male", "female", "hair_color", "mouth", "eyes")
_BACKGROUND = ("background_mean", "background_std")

ATTRIBUTES = {
  "gender": {
    "columns.target": (0, 1),
    "columns.given": (),
    "model.dense": (512, 64),
    "model.given_after": (),
    "epochs": 15,
  },
  "hair": {},
  "mouth": {
    "columns.target": (3,),
    "model.crop": (60, 120, 30, 90),
    "model.pool_after": (1, 2),
  },
  "eyes": {
    "columns.target": (4,),
    "model.crop": (30, 62, 30, 90),
    "model.features": (32, 48, 64, 96, 128),
    "model.pool_after": (1, 2),
    "model.dense": (320, 120),
    "early_stop.patience": 7,
    "plateau.patience": 3,
  },
  "background_mean": {"columns.target": (5,)},
  "background_std": {
    "columns.target": (6,),
    "model.features": (32, 32, 64, 64, 128, 192),
    "model.dense": (512, 64),
    "model.given_after": (0, 1),
    "optim.lr": 4.8e-4,
    "early_stop.patience": 10,
    "plateau.factor": 0.25,
  },
}
COLUMN = {
  "columns.target": (0,),
  "columns.given": (),
  "model.given_after": (),
  "loss.binary": True,
}
KNOWN = {"column": "", "size": 120, "faithful": False, "smoke": False}


def get_config(arg: str = "") -> ConfigDict:
  """Return the config of an attribute, e.g. "mouth" or "hair,smoke"."""
  variant = parse_variants(arg, dict.fromkeys(ATTRIBUTES, False) | KNOWN)
  column = variant["column"]
  size = variant["size"]
  chosen = [name for name in ATTRIBUTES if variant[name]]
  chosen += [column] if column else []
  if len(chosen) > 1:
    raise ConfigError(f"one attribute at a time; found {', '.join(chosen)}")
  name = chosen[0] if chosen else "gender"
  config = _base()
  config.data.image_shape = (size, size, 3)
  if column:
    _name(config, (column,))
  elif name in _BACKGROUND:
    _name(config, NAMES + _BACKGROUND)
  config.update_from_flattened_dict(COLUMN if column else ATTRIBUTES[name])
  if size != 120 and config.model.crop:
    raise ConfigError(f"{name} crops faces of 120 pixels; found size={size}")
  config.early_stop.restore = not variant["faithful"]
  if variant["smoke"]:
    config.data.source = "synthetic"
    config.data.count = 160
    config.epochs = 1
    config.log_every = 1
  return config


def sweep() -> Iterator[str]:
  """Yield the variants that launch.sweep trains: the ladder's conditions."""
  yield from ("gender", "hair", "mouth", "eyes")


def _name(config: ConfigDict, names: tuple[str, ...]) -> None:
  """Say which columns of the table a condition is of."""
  config.data.names = names
  config.data.ranges = ((0.0, 1.0),) * len(names)
  config.data.conditions = len(names)


def _base() -> ConfigDict:
  return ConfigDict(
    {
      "system": "attribute",
      **loop(
        epochs=40,
        log_every=50,
        early_stop={"metric": "loss", "patience": 5},
        plateau={"metric": "loss", "patience": 2, "factor": 0.1},
      ),
      "data": {
        "name": "faces",
        "source": "prepared",  # or synthetic
        "path": "",  # a set of prepare_faces.py; "": faces_120, by size
        "image_shape": (120, 120, 3),
        "conditions": len(NAMES),
        "names": NAMES,
        "ranges": ((0.0, 1.0),) * len(NAMES),
        "train_rows": 0,  # 0: all but the last tenth
        "split_column": "",  # e.g. person: no person is in both splits
        "count": 0,  # number of synthetic faces
      },
      "columns": {"target": (2,), "given": (0, 1)},  # of the condition
      "model": {
        "features": (32, 32, 64, 64, 64),
        "pool_after": (1, 2, 3),
        "dense": (256, 64),
        "crop": (),  # top, bottom, left, right
        "given_after": (0,),  # `given` joins after dense layer 0
      },
      "loss": {
        "l2": 0.001,  # weight of the squared dense kernels
        "binary": False,  # cross-entropy of a value that is 0 or 1
      },
      "optim": optimiser(lr=0.001, decay=1e-6, eps=1e-7),
    }
  )
