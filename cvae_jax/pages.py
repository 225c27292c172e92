"""Config pages: the files that define a config, found by name or path."""

import contextlib
import difflib
import importlib.util
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.defaults import GROUPS, LOOP, MLP
from cvae_jax.host.paths import local
from cvae_jax.settings import ConfigError, hint, leaves

EXPECTED = LOOP | {"model": {}}  # what every run's config has


def loop(**changes: Any) -> dict[str, Any]:
  """Return the keys that the loop reads, for a config page to build on.

  Raises:
    ConfigError: a change names no such key.
  """
  return _merge("the loop", LOOP, changes)


def optimiser(**changes: Any) -> dict[str, Any]:
  """Return the keys of an optimiser, for a page's group `optim`.

  Beside the defaults a page has lr, and may have keys of its system.
  """
  return GROUPS["optim"] | changes


def loss(**changes: Any) -> dict[str, Any]:
  """Return the keys of a loss with a likelihood, for a page's group `loss`.

  Beside the defaults a page may have keys of its system.
  """
  return _merge("", GROUPS["loss"], {}) | changes


def prior(**changes: Any) -> dict[str, Any]:
  """Return the keys of a prior, for a page's group `prior`."""
  return _merge("the prior", GROUPS["prior"], changes)


def mlp(*widths: int, **changes: Any) -> dict[str, Any]:
  """Return the settings of a network of dense layers, nets/mlp.py.

  Raises:
    ConfigError: a change names no such setting.
  """
  return _merge("a network", MLP | {"widths": widths}, changes)


def _merge(where: str, known: Mapping, changes: Mapping) -> dict[str, Any]:
  if unknown := sorted(changes.keys() - known.keys()):
    raise ConfigError(f"{where} has no {unknown[0]!r}{hint(unknown[0], known)}")
  return {
    key: _merge(key, value, changes.get(key, {}))
    if isinstance(value, Mapping)
    else changes.get(key, value)
    for key, value in known.items()
  }


def list_packaged() -> dict[str, Path]:
  """List the pages that come with the package: {short name: file}."""
  package = Path(__file__).parent
  folder = package / "configs"  # installed
  if not folder.is_dir() and (package.parent / "setup.py").exists():
    folder = package.parent / "configs"  # a checkout
  files = sorted(folder.glob("*.py"))
  return {file.stem: file for file in files if file.stem != "__init__"}


def find(name: str) -> str:
  """Return the file of a page; a file that exists wins over a short name.

  Where there is no file configs/digits.py, it is the package's page digits.

  Raises:
    ConfigError: a short name, without folder or suffix, that is no page's.
  """
  path = Path(name)
  if path.is_file():
    return name
  known = list_packaged()
  if path.stem in known and path == Path("configs", f"{path.stem}.py"):
    return str(known[path.stem])
  if path.suffix or len(path.parts) != 1:
    return name
  if name not in known:
    raise ConfigError(f"no config page {name!r}{hint(name, known)}")
  return str(known[name])


def module(path: str) -> ModuleType:
  """Import a config file by its path.

  Raises:
    ConfigError: there is no such file, or it fails; its line is named.
  """
  file = local(find(path), "the config file")
  spec = importlib.util.spec_from_file_location(file.stem, file)
  if spec is None or not file.is_file():
    raise ConfigError(
      f"no config file {str(path)!r}; expected a page, as digits, a page's "
      "file or a run's config.json"
    )
  found = importlib.util.module_from_spec(spec)
  with explain_errors(file):
    spec.loader.exec_module(found)
  return found


@contextlib.contextmanager
def explain_errors(file: Path) -> Iterator[None]:
  """Turn an error of a config page into one line, with its place."""
  try:
    yield
  except ConfigError:
    raise
  except SyntaxError as error:
    place = f"{error.filename or file}:{error.lineno}"
    raise ConfigError(f"{place}: syntax error: {error.msg}") from error
  except Exception as error:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f.lineno for f in frames if f.filename == str(file)]
    place = f"{file}:{own[-1]}" if own else str(file)
    said = " ".join(str(error).split())[:300]
    raise ConfigError(f"{place}: {type(error).__name__}: {said}") from error


def variants(path: str) -> list[str]:
  """List the variants that a config file's `sweep()` yields.

  Raises:
    ConfigError: the file has no sweep().
  """
  found = module(path)
  if not hasattr(found, "sweep"):
    raise ConfigError(f"{path} defines no sweep(): there is nothing to sweep")
  return list(found.sweep())


def complete(config: Any, page: str) -> None:
  """Give a page's config the loop's keys that it lacks, at their defaults.

  Raises:
    ConfigError: it is no ConfigDict, lacks `system` or `data.name`, or has a
      key that is nearly one of the loop's.
  """
  if not isinstance(config, ConfigDict):
    raise ConfigError(
      f"{page}: get_config returned a {type(config).__name__}; expected an "
      "ml_collections.ConfigDict"
    )
  _refuse_misspelt(config, page)
  _fill(config, EXPECTED)
  found = dict(leaves(config.to_dict()))
  if absent := [key for key in ("system", "data.name") if key not in found]:
    raise ConfigError(
      f"{page}: the config has no {absent[0]!r}; each run needs "
      "ConfigDict({'system': 'vae', 'data': {'name': 'digits', …}, …})"
    )


def _refuse_misspelt(config: ConfigDict, page: str) -> None:
  for key in config:
    close = difflib.get_close_matches(str(key), list(LOOP), n=1, cutoff=0.8)
    if key not in LOOP and close:
      raise ConfigError(
        f"{page}: the config has {key!r}; did you mean {close[0]!r}, a key of "
        "the loop?"
      )


def _fill(config: ConfigDict, defaults: Mapping[str, Any]) -> None:
  for key, value in defaults.items():
    if isinstance(value, Mapping):
      if key not in config:
        config[key] = ConfigDict()
      _fill(config[key], value)
    elif key not in config:
      config[key] = value
