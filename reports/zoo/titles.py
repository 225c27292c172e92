"""The zoo's systems, and what the runs of each are called."""

from ml_collections import ConfigDict

from reports import variants

SYSTEMS = ("vae", "m2", "m3", "aae", "ssaae", "dfc_vae", "caae")
KINDS = {  # the variants of each page that name a method, its default first
  "zoo": (
    *("vae", "scvae", "m1", "m2", "m1m2", "m3"),
    *("aae", "ilaae", "ssaae"),
  ),
  "zoo_faces": ("dfc_vae", "caae"),
}


def is_ours(config: ConfigDict) -> bool:
  """Tell whether a run is one of the zoo's."""
  return variants.find(config).page in KINDS and config.system in SYSTEMS


def title(config: ConfigDict) -> str:
  """Name what a config is, so that runs that differ in the seed are alike."""
  asked = variants.find(config)
  kind = asked.choice(KINDS[asked.page])
  name = {
    "vae": "VAE, {latents} latents",
    "scvae": "SCVAE, {latents} latents",
    "m1": "M1, {latents} latents",
    "m2": "M2",
    "m1m2": "M1+M2",
    "m3": "M3",
    "aae": "AAE, {prior}",
    "ilaae": "ilAAE, {prior}",
    "ssaae": "SSAAE",
    "dfc_vae": "DFC-VAE, {taps}",
    "caae": "CAAE",
  }[kind].format(
    latents=config.model.get("latents"),
    prior=str(config.model.get("prior")).replace("_", " "),
    taps=_taps(config),
  )
  if kind == "dfc_vae" and not config.model.features.taps:
    name = "pixel VAE"
  labels = config.data.get("labels", -1)
  if labels > 0:
    name += f", {labels} labels"
  if kind == "ssaae" and not config.loss.get("agreement"):
    name += ", no agreement"
  return name + (", faithful" if asked.has("faithful") else "")


def _taps(config: ConfigDict) -> str:
  """Name the layers that a feature loss reads: 123 of relu1, relu2, relu3."""
  taps = config.model.get("features", {}).get("taps", ())
  return "".join(tap[len("relu")] for tap in taps)
