"""What a config's system, loss, prior and optimiser are, in words."""

from ml_collections import ConfigDict

from cvae_jax import settings
from cvae_jax.config import resolve
from cvae_jax.defaults import GROUPS
from cvae_jax.host import lookups


def lines(config: ConfigDict) -> list[str]:
  """Say what a config's system, loss, prior and optimiser are, a line each.

  Raises:
    ConfigError: the config does not state what its data know.
  """
  with lookups.explained(config):
    system = resolve(config)
  said = [f"{config.name or config.system}: system {config.system}"]
  said += system.notes
  for group in ("loss", "prior", "optim"):
    own = dict(settings.leaves(config.get(group, ConfigDict()).to_dict()))
    usual = dict(settings.leaves(GROUPS[group]))
    changed = {k: v for k, v in own.items() if usual.get(k) != v}
    if changed:
      shown = ", ".join(f"{group}.{k}={v}" for k, v in changed.items())
      said.append(f"set here: {shown}")
  said.append("what is logged as elbo is −nats − KL, whatever weighs the KL")
  return said
