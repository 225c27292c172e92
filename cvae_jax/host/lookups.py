"""The error of a config's key that is read and not there."""

import contextlib
from collections.abc import Iterator

from ml_collections import ConfigDict

from cvae_jax.settings import ConfigError, hint


@contextlib.contextmanager
def explain_errors(config: ConfigDict) -> Iterator[None]:
  """Turn the lookup of a key that a config lacks into a ConfigError."""
  try:
    yield
  except (AttributeError, KeyError) as error:
    if (lookup := _lookup(error)) is None:
      raise
    group, name = lookup
    where = _path(config, group) or "a group of the config"
    raise ConfigError(
      f"{where} has no key {name!r}, which system {config.get('system')!r} or "
      f"data source {config.get('data', {}).get('name')!r} reads"
      f"{hint(name, group)}"
    ) from error


def _lookup(error: BaseException) -> tuple[ConfigDict, str] | None:
  """Find the ConfigDict and the key whose lookup raised an error."""
  trace = error.__traceback__
  found = None
  while trace is not None:
    local = trace.tb_frame.f_locals
    group = local.get("self")
    name = local.get("attribute", local.get("key"))
    is_lookup = trace.tb_frame.f_code.co_name in ("__getattr__", "__getitem__")
    fits = is_lookup and isinstance(group, ConfigDict) and isinstance(name, str)
    found = (group, name) if fits else None
    trace = trace.tb_next
  return found


def _path(group: ConfigDict, wanted: ConfigDict, path="config") -> str | None:
  if group is wanted:
    return path
  for name, value in group.items():
    if isinstance(value, ConfigDict) and (
      found := _path(value, wanted, f"{path}.{name}")
    ):
      return found
  return None
