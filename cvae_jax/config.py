"""Config files, their variants, and what a config's names stand for."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import pages, settings
from cvae_jax.defaults import LOOP, fill_missing
from cvae_jax.host import lookups, plugins
from cvae_jax.host.files import DamagedFile, read_json
from cvae_jax.host.paths import local
from cvae_jax.host.variants import (
  check_used as check_used,
  choose_system as choose_system,
  climb as climb,
  parse_variants as parse_variants,
)
from cvae_jax.pages import (
  loop as loop,
  loss as loss,
  mlp as mlp,
  optimiser as optimiser,
  prior as prior,
)
from cvae_jax.settings import ConfigError

RENAMED = {"optim.beta1": "optim.b1"}  # keys of older runs


def load(name: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
  """Load `configs/x.py` or `configs/x.py:variant,key=value`, locked.

  Args:
    name: the file's path or the page's short name (digits) and,
      behind a colon, its variants, as in --config.
    overrides: dotted keys and values, as in --config.a.b=value.

  Raises:
    ConfigError: there is no such page, it fails, a key is unknown or a value
      makes no sense.
  """
  config = load_page(name)
  settings.apply(config, overrides or {})
  settings.check(config, given=overrides or ())
  if not str(name).endswith(".json"):
    trust(config)
  return config


def load_page(name: str | Path) -> ConfigDict:
  """Load a page's config without checking its values, locked.

  Args:
    name: configs/x.py, configs/x.py:variant,key=value or a run's config.json.

  Raises:
    ConfigError: there is no such page, or it fails or lacks a key.
  """
  path, _, arg = str(name).partition(":")
  if "://" in str(name):
    local(str(name), "the config")  # says that this is no path
  if path.endswith(".json"):
    return _load_saved(local(path, "the config"))
  found = pages.module(path)
  if not hasattr(found, "get_config"):
    raise ConfigError(f"{path} defines no get_config(): it is no config page")
  with pages.explain_errors(local(pages.find(path))):
    config = found.get_config(arg)
  pages.complete(config, path)
  config.name = Path(path).stem + (f":{arg}" if arg else "")
  return config.lock()


def complete(config: ConfigDict) -> ConfigDict:
  """Return a config with the loop's keys that it lacks, at their defaults.

  Raises:
    ConfigError: it lacks `system` or `data.name`, or has a key that is nearly
      one of the loop's.
  """
  given = config.to_dict()
  if "name" in given and fill_missing(pages.EXPECTED, given) == given:
    return config
  found = config.copy_and_resolve_references().unlock()
  pages.complete(found, "the config")
  found.name = found.get("name", str(found.system))
  return found.lock()


def _load_saved(path: Path) -> ConfigDict:
  """Load a run's config.json, with tuples as in a page."""
  if not path.is_file():
    raise ConfigError(f"no config file {str(path)!r}")
  try:
    config = ConfigDict(_tuples(from_json(path.read_text()).to_dict())).lock()
  except (ValueError, AttributeError, TypeError) as error:
    raise ConfigError(f"{path} is not a run's config: {error}") from error
  pages.complete(config, str(path))
  return config


def _tuples(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _tuples(item) for key, item in value.items()}
  if isinstance(value, list):
    return tuple(_tuples(item) for item in value)
  return value


def resolve(config: ConfigDict, facts: Any = None, *, system: Any = None):
  """Make the System that a config names.

  Args:
    config: `system` is the name of a module of systems/, or the dotted name of
      a user's own module with `make(config, facts) -> System`.
    facts: types.Facts of the data; by default those that config.data states.
    system: a System, or a function like `make`, to use instead of the name.

  Raises:
    ConfigError: there is no such module, it may not be imported, it reads a
      key that is not there, or its make returns no System.
  """
  # Imported here, since reading a config must not import jax.
  types = importlib.import_module("cvae_jax.types")
  if isinstance(system, types.System):
    return _adjustable(config, system)
  make = system
  if make is None:
    package = importlib.import_module("cvae_jax.systems")
    make = plugins.load(config.system, package, "system", systems()).make
  with lookups.explain_errors(config):
    if facts is None:
      facts = _stated_facts(config, types.Facts)
    made = make(config, facts)
    plugins.check(made, types.System, f"make of {config.system!r}")
    return _adjustable(config, made)


def trust(config: ConfigDict) -> None:
  """Allow a config's own modules to be imported, as the user has asked for."""
  plugins.trust(config.system, config.data.name)


def _stated_facts(config: ConfigDict, kind):
  """Return the facts that a config states of its data."""
  columns = {}
  if "image_shape" in config.data:
    columns["image"] = tuple(config.data.image_shape)
  if isinstance(config.data.get("conditions"), int):
    columns["condition"] = (config.data.conditions,)
  return kind(columns)


def _adjustable(config: ConfigDict, system):
  """Add to a system's state what the loop's and the optimiser's keys need."""
  decay = config.get("optim", {}).get("ema", 0.0)
  if not (config.plateau.metric or decay):
    return system
  additions = importlib.import_module("cvae_jax.method.additions")
  if decay:
    system = additions.average(system, decay, config.get("pretrained", {}))
  if config.plateau.metric:
    system = additions.adjustable(system)
  return system


def systems() -> list[str]:
  """List the systems that `config.system` may name."""
  package = importlib.import_module("cvae_jax.systems")
  return plugins.names(package, without=["models"])


def to_json(config: ConfigDict) -> str:
  """Write a config as sorted JSON; `from_json` reads it back."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def of_run(folder: Path) -> ConfigDict:
  """Read the config.json of a run's folder, locked.

  Raises:
    DamagedFile: the file is damaged, or lacks what each run's has.
  """
  path = Path(folder) / "config.json"
  remedy = (
    "bring a copy of the file back, or train again in another folder with "
    "the command in environment.json"
  )
  saved = read_json(path, dict, remedy)
  lacking = [key for key in ("system", "data", "model") if key not in saved]
  if lacking or not isinstance(saved["data"], dict):
    raise DamagedFile(
      f"{path} is damaged: it has no {', '.join(lacking or ['data'])}; {remedy}"
    )
  groups = ["model", "optim"] + [k for k, v in LOOP.items() if _is_group(v)]
  for key in groups:
    if not _is_group(found := saved.get(key, {})):
      raise DamagedFile(
        f"{path} is damaged: {key} is {found!r}, expected a mapping; {remedy}"
      )
  return from_json(json.dumps(saved))


def _is_group(value: Any) -> bool:
  return isinstance(value, Mapping)


def from_json(text: str) -> ConfigDict:
  """Read a config that `to_json` wrote, locked.

  What the loop has learnt since then is there too, at its default.
  """
  config = ConfigDict(fill_missing(LOOP, _rename_keys(json.loads(text))))
  return config.lock()


def _rename_keys(saved: dict[str, Any]) -> dict[str, Any]:
  """Return a run's saved config with today's names of its keys."""
  for old, new in RENAMED.items():
    group, _, key = old.partition(".")
    if key in saved.get(group, {}):
      saved[group][new.partition(".")[2]] = saved[group].pop(key)
  return saved
