"""How the programs of a run compute: config.precision and config.products."""

from ml_collections import ConfigDict

from cvae_jax.loop import precision, products
from cvae_jax.types import System


def apply(config: ConfigDict, system: System) -> tuple[System, dict[str, str]]:
  """Return the system as config has it computed, and XLA's options for a step.

  Raises:
    ConfigError: a choice of the config is not supported.
  """
  system, options = precision.apply(config, system)
  system, more = products.apply(config, system)
  return system, options | more
