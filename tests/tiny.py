"""Small networks on the real digits: seconds to train, all mechanisms."""

from pathlib import Path

from ml_collections import ConfigDict

from cvae_jax import config

CONFIGS = Path(__file__).parents[1] / "configs"
_CVAE = {
  "model.encoder.features": (4, 4, 4),
  "model.encoder.dense": 16,
  "model.encoder.side": 8,
  "model.encoder.latents": 3,
  "model.decoder.dense": 16,
  "model.decoder.map": (7, 7, 8),
  "model.decoder.features": (8, 4, 1),
}
_JUDGE = {"model.features": (4, 4, 4, 4, 4, 8), "model.dense": (16, 16)}


def digits(**overrides) -> ConfigDict:
  """Gives a small conditional VAE; `a__b=value` overrides a.b."""
  return _tiny("digits.py:smoke", _CVAE, overrides)


def judge(**overrides) -> ConfigDict:
  """Gives a small classifier."""
  return _tiny("classifier.py:smoke", _JUDGE, overrides)


def _tiny(name, network, overrides):
  dotted = {k.replace("__", "."): v for k, v in overrides.items()}
  return config.load(f"{CONFIGS}/{name}", network | dotted)
