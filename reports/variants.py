"""Which page and variants a run was asked for: config.name, in words."""

from typing import NamedTuple

from ml_collections import ConfigDict


class Name(NamedTuple):
  """A page and the variants behind it, as config.name records them."""

  page: str  # zoo
  variants: dict[str, str]  # {"m2": "", "labels": "100"}

  def has(self, variant: str) -> bool:
    """Tell whether a variant was asked for: faithful or faithful=true."""
    return self.variants.get(variant, "0").lower() in ("", "true", "1")

  def choice(self, known: tuple[str, ...]) -> str:
    """Return the one of several variants that was asked for, else the first."""
    return next((name for name in known if self.has(name)), known[0])


def find(config: ConfigDict) -> Name:
  """Return the page and the variants that a run was asked for.

  Runs of the first release did not record them: theirs are inferred.
  """
  page, _, words = (config.name or _infer(config)).partition(":")
  parts = (word.partition("=") for word in words.split(",") if word)
  return Name(page, {name: value for name, _, value in parts})


def _infer(config: ConfigDict) -> str:
  """Infer page and variants from the numbers that the pages then set."""
  infer = {
    "gan": _gan,
    "autoencoder": _autoencoder,
    "dfc_vae": _infer_faces,
    "caae": _infer_faces,
    "vae": _vae,
    "m2": _m2,
    "m3": _m3,
    "aae": _aae,
  }.get(config.system)
  return infer(config) if infer else ""


def _gan(config: ConfigDict) -> str:
  return "compare:gan" if config.loss.kind == "logistic" else "compare:wgan_gp"


def _autoencoder(config: ConfigDict) -> str:
  return "compare:vae" if config.model.variational else "compare:ae"


def _infer_faces(config: ConfigDict) -> str:
  name = f"zoo_faces:{config.system}"
  return name if config.model.normalise else f"{name},faithful"


def _vae(config: ConfigDict) -> str:
  if config.loss.binarise:
    return "zoo:m1"
  name = "zoo:scvae" if config.data.conditions else "zoo:vae"
  return name if config.model.encoder.dropout else f"{name},faithful"


def _m2(config: ConfigDict) -> str:
  name = "zoo:m1m2" if config.model.features else "zoo:m2"
  return f"{name},faithful" if config.loss.soft else name


def _m3(config: ConfigDict) -> str:
  return "zoo:m3" if config.model.encoder.dropout else "zoo:m3,faithful"


def _aae(config: ConfigDict) -> str:
  name = "zoo:ilaae" if config.model.slots else "zoo:aae"
  narrow = tuple(config.model.encoder.widths) == (2, 2)
  return f"{name},faithful" if narrow else name
