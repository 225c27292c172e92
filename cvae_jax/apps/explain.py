"""Describe a config's system, loss, prior and optimiser in words."""

from ml_collections import ConfigDict

from cvae_jax import settings
from cvae_jax.config import ConfigError, resolve
from cvae_jax.defaults import GROUPS
from cvae_jax.host import lookups
from cvae_jax.types import Facts


def lines(config: ConfigDict, facts: Facts | None = None) -> list[str]:
  """Say what a config's system, loss, prior and optimiser are, a line each.

  Args:
    config: of a page or a run.
    facts: what a run's data know; else what the config states of them.

  Raises:
    ConfigError: the config does not state what its data know.
  """
  own = config.data.name == "images"
  if facts is None and own and "image_shape" not in config.data:
    raise ConfigError(
      f"{config.name}: the loss depends on the size of your images, which the "
      "page does not know; give a run on them: --config=RUN/config.json"
    )
  with lookups.explain_errors(config):
    system = resolve(config, facts)
  said = [f"{config.name or config.system}: system {config.system}"]
  said += system.notes
  for group in ("loss", "prior", "optim"):
    own = dict(settings.leaves(config.get(group, ConfigDict()).to_dict()))
    usual = dict(settings.leaves(GROUPS[group]))
    changed = {k: v for k, v in own.items() if usual.get(k) != v}
    if changed:
      shown = ", ".join(f"{group}.{k}={v}" for k, v in changed.items())
      said.append(f"set here: {shown}")
  if "beta" in config.get("loss", {}):
    said.append("what is logged as elbo is −nats − KL, whatever weighs the KL")
  return said
