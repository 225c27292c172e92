"""Config files, their variants, and what a config's names stand for."""

import difflib
import fnmatch
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.defaults import LOOP
from cvae_jax.files import DamagedFile, read_json

# What may change when a run is resumed: how long, how often, and where the
# data lie. Not `init_from`: config.json says what the run began with.
FREE = (
  "epochs",
  "log_every",
  "checkpoint_every",
  "evaluate_every_epochs",
  "keep",
  "data.path",
)


RENAMED = {"optim.beta1": "optim.b1"}  # keys of older runs


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class ConfigError(ValueError):
  """Says what is wrong with a config, what was expected and what to do."""


def loop(**changes: Any) -> dict[str, Any]:
  """Gives the keys that the loop reads, for a config page to build on.

  Raises:
    ConfigError: a change names no such key.
  """
  return _merge("the loop", LOOP, changes)


def _merge(where: str, known: Mapping, changes: Mapping) -> dict[str, Any]:
  if unknown := sorted(changes.keys() - known.keys()):
    raise ConfigError(
      f"{where} has no {unknown[0]!r}{_hint(unknown[0], known)}"
    )
  return {
    key: _merge(key, value, changes.get(key, {}))
    if isinstance(value, Mapping)
    else changes.get(key, value)
    for key, value in known.items()
  }


def pages() -> dict[str, Path]:
  """List the pages that come with the package: {short name: file}."""
  package = Path(__file__).parent
  folder = package / "configs"  # installed
  if not folder.is_dir() and (package.parent / "setup.py").exists():
    folder = package.parent / "configs"  # a checkout
  files = sorted(folder.glob("*.py"))
  return {file.stem: file for file in files if file.stem != "__init__"}


def page(name: str) -> str:
  """Return the file of a page; a file that exists wins over a short name.

  Raises:
    ConfigError: a short name, without folder or suffix, that is no page's.
  """
  path = Path(name)
  if path.is_file() or path.suffix or len(path.parts) != 1:
    return name
  known = pages()
  if name not in known:
    raise ConfigError(f"no config page {name!r}{_hint(name, known)}")
  return str(known[name])


def module(path: str) -> ModuleType:
  """Imports a config file by its path.

  Raises:
    ConfigError: there is no such file.
  """
  path = page(path)
  spec = importlib.util.spec_from_file_location(Path(path).stem, path)
  if spec is None or not Path(path).exists():
    raise ConfigError(f"no config file {path!r}")
  found = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(found)
  return found


def variants(path: str) -> list[str]:
  """Lists the variants that a config file's `sweep()` yields.

  Raises:
    ConfigError: the file has no sweep().
  """
  found = module(path)
  if not hasattr(found, "sweep"):
    raise ConfigError(f"{path} defines no sweep(): there is nothing to sweep")
  return list(found.sweep())


def chosen(variants: list[str], only: list[str]) -> list[str]:
  """Keeps the variants that match a word of `only`, all if it is empty.

  A word is a pattern; one that matches nothing is several, between commas.

  Raises:
    ConfigError: a pattern matches no variant; they are listed.
  """
  patterns = []
  for word in only or ["*"]:
    patterns += [word] if fnmatch.filter(variants, word) else word.split(",")
  for pattern in patterns:
    if not fnmatch.filter(variants, pattern):
      raise ConfigError(f"{pattern!r} not in the sweep: {variants}")
  return [v for v in variants if any(fnmatch.fnmatch(v, p) for p in patterns)]


def load(name: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
  """Loads `configs/x.py` or `configs/x.py:variant,key=value`, locked.

  Args:
    name: the file's path or the page's short name (digits) and,
      behind a colon, its variants, as in --config.
    overrides: dotted keys and values, as in --config.a.b=value.
  """
  path, _, arg = str(name).partition(":")
  config = module(path).get_config(arg)
  config.lock()
  config.update_from_flattened_dict(dict(overrides or {}))
  return config


def parse_variants(arg: str, known: Mapping[str, Any]) -> dict[str, Any]:
  """Parses "model=2,smoke" with `known` names and defaults.

  The default's type is the value's; a bare name of a bool means True.
  """
  values, seen = dict(known), set()
  for part in filter(None, (arg or "").split(",")):
    name, equals, text = part.partition("=")
    if name in seen:
      raise ConfigError(f"variant {name!r} comes twice in {arg!r}")
    seen.add(name)
    if name not in known:
      raise ConfigError(f"unknown variant {name!r}{_hint(name, known)}")
    kind = type(known[name])
    try:
      if kind is bool:
        values[name] = _BOOLEANS[text.lower()] if equals else True
      elif not text:
        raise ValueError("no value")
      else:
        values[name] = kind(text)
    except (KeyError, ValueError):
      raise ConfigError(
        f"variant {name}={text!r}: expected {kind.__name__}, as in "
        f"{name}={known[name]}"
      ) from None
  return values


def climb(
  config: ConfigDict, ladder: Sequence[Mapping[str, Any]], rung: int
) -> None:
  """Applies the first `rung` deltas of a ladder, each {dotted key: value}.

  Raises:
    ConfigError: the ladder has no such rung.
  """
  if not 1 <= rung <= len(ladder):
    raise ConfigError(f"no model {rung}; there are 1 to {len(ladder)}")
  for change in ladder[:rung]:
    config.update_from_flattened_dict(change)


def resolve(config: ConfigDict):
  """Makes the System that `config.system` names, a module of systems/.

  Raises:
    ConfigError: there is no such module.
  """
  systems = importlib.import_module("cvae_jax.systems")
  names = [found.name for found in pkgutil.iter_modules(systems.__path__)]
  if config.system not in names:
    raise ConfigError(
      f"unknown system {config.system!r}{_hint(config.system, names)}"
    )
  found = importlib.import_module(f"cvae_jax.systems.{config.system}")
  system = found.make(config)
  if not config.plateau.metric:
    return system
  # By name, as above: reading a config has to do without jax.
  return importlib.import_module("cvae_jax.update").adjustable(system)


def to_json(config: ConfigDict) -> str:
  """Writes a config as sorted JSON; `from_json` reads it back."""
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
  return from_json(json.dumps(saved))


def from_json(text: str) -> ConfigDict:
  """Reads a config that `to_json` wrote, locked.

  What the loop has learnt since then is there too, at its default.
  """
  config = ConfigDict(_filled(LOOP, _renamed(json.loads(text))))
  return config.lock()


def _renamed(saved: dict[str, Any]) -> dict[str, Any]:
  """Return a run's saved config with today's names of its keys."""
  for old, new in RENAMED.items():
    group, _, key = old.partition(".")
    if key in saved.get(group, {}):
      saved[group][new.partition(".")[2]] = saved[group].pop(key)
  return saved


def _filled(known: Mapping, saved: Mapping) -> dict[str, Any]:
  """Adds the known keys that `saved` lacks, in groups too."""
  return {**known, **saved} | {
    key: _filled(value, saved.get(key, {}))
    for key, value in known.items()
    if isinstance(value, Mapping)
  }


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """Lists the keys that a resumed run may not change, "key: old → new"."""
  before, after = (dict(_flat(json.loads(to_json(c)))) for c in (old, new))
  keys = sorted(before.keys() | after.keys())
  absent = "(absent)"
  return [
    f"{key}: {before.get(key, absent)!r} → {after.get(key, absent)!r}"
    for key in keys
    if not _free(key) and before.get(key, absent) != after.get(key, absent)
  ]


def fixed(config: ConfigDict) -> dict[str, Any]:
  """Return {dotted key: value} of what a resumed run may not change."""
  flat = _flat(json.loads(to_json(config)))
  return {key: value for key, value in flat if not _free(key)}


def _free(key: str) -> bool:
  """Tells whether a resumed run may change a key.

  A file of weights may have moved: a checkpoint knows its content's hash.
  """
  weights = key.startswith("pretrained.") and key.endswith(".file")
  return weights or key in FREE


def _flat(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f"{prefix}{key}.")
    else:
      yield prefix + key, value


def _hint(name: str, known) -> str:
  close = difflib.get_close_matches(name, list(known), n=1)
  guess = f"; did you mean {close[0]!r}?" if close else ";"
  return f"{guess} known: {', '.join(sorted(known))}"
