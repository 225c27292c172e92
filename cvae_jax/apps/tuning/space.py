"""The space of a search: keys of a config, and what each may be.

It is given by words (apps/tuning/axes.py) or by a page's function space(trial).
Values are checked with the page's config before anything is trained.
"""

import ast
import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from cvae_jax import pages, settings
from cvae_jax.apps.tuning.axes import Axis, parse
from cvae_jax.defaults import BY_HAND, NEEDS
from cvae_jax.host.paths import local
from cvae_jax.settings import ConfigError

_BOOLEANS = {"true": True, "false": False}

# (trial) -> {dotted key: value}; a trial has Optuna's suggest_float and so on.
Space = Callable[[Any], Mapping[str, Any]]


def check(
  axes: Sequence[Axis], config: ConfigDict, given: Sequence[str] = ()
) -> None:
  """Check that a config takes the ends and all choices, and uses each key.

  Some keys have an effect only with certain values of another key. If the other
  key is searched too, all combinations of both are tried.

  Args:
    axes: of `parse`.
    config: of the page.
    given: the dotted keys that the user has set for all trials.

  Raises:
    ConfigError: it does not.
  """
  for axis in axes:
    settings.check_key(config, axis.key)
    beside = [other for other in axes if other.key in _decides(axis.key)]
    keys = [one.key for one in (axis, *beside)]
    for values in itertools.product(*map(_shown, (axis, *beside))):
      tried = dict(zip(keys, values, strict=True))
      try:
        apply_values(config, tried, given)
      except ConfigError as error:
        raise ConfigError(_explain(tried, str(error))) from None


def _explain(tried: Mapping[str, Any], error: str) -> str:
  """Say what is wrong with a value, and with which other values."""
  others = ", ".join(f"{k}={v}" for k, v in list(tried.items())[1:])
  if not others:
    return f"--space: {error}"
  return (
    f"--space: beside {others}, {error}. A function space(trial) in the page "
    "can draw it beside other values only"
  )


def _shown(axis: Axis) -> tuple:
  """Return the values of an axis that are tried before the search."""
  return axis.values or (axis.low, axis.high)


def _decides(key: str) -> set[str]:
  """Return the keys that decide whether a key is used."""
  rules = [table[key] for table in (NEEDS, BY_HAND) if key in table]
  return {"system", *(rule.key for rule in rules)} - {key}


def suggest(axes: Sequence[Axis], trial: Any) -> dict[str, Any]:
  """Return {dotted key: value}, each drawn by an Optuna trial."""
  return {axis.key: _suggest(axis, trial) for axis in axes}


def _suggest(axis: Axis, trial: Any) -> Any:
  if axis.kind == "one of":
    return trial.suggest_categorical(axis.key, axis.values)
  ends = axis.low, axis.high
  log = axis.kind.startswith("log")
  if "int" in axis.kind:
    return trial.suggest_int(axis.key, *ends, step=axis.step or 1, log=log)
  return trial.suggest_float(axis.key, *ends, step=axis.step, log=log)


def choose_space(
  words: Sequence[str],
  page: str,
  config: ConfigDict,
  given: Sequence[str] = (),
  typed: Collection[str] = (),
) -> Space:
  """Return the space that words describe, else the page's own space(trial).

  Args:
    words: of --space.
    page: whose space(trial) is taken where there are no words.
    config: of the page, before a trial's values.
    given: the dotted keys that the user has set for all trials.
    typed: the flags of the command itself, as flag_words.named returns them. A
      study that goes on adds others from its folder.

  Raises:
    ConfigError: there is neither, or the config does not take the values, or
      the command sets a key of the space.
  """
  if words:
    axes = parse(words)
    _check_free([axis.key for axis in axes], typed)
    check(axes, config, given)
    return functools.partial(suggest, axes)
  path = page.partition(":")[0]
  own = None
  if not path.endswith(".json"):
    own = getattr(pages.module(path), "space", None)
  if own is None:
    raise ConfigError(
      f"nothing to search in {page}: give --space=config.optim.lr=log:1e-4.."
      "1e-2, or write a function space(trial) into the page"
    )

  def draw(trial: Any) -> dict[str, Any]:
    with pages.explain_errors(local(pages.find(path))):
      values = dict(own(trial))
    found = {key.removeprefix("config."): v for key, v in values.items()}
    _check_free(found, typed)
    return found

  return draw


def _check_free(keys: Iterable[str], typed: Collection[str]) -> None:
  """Check that no flag sets a key of the space: it would have no effect.

  Raises:
    ConfigError: one does.
  """
  for key in keys:
    if f"config.{key}" in typed:
      raise ConfigError(
        f"found --config.{key}, but each trial draws config.{key} from the "
        "space; leave the flag out, or take the key out of the space"
      )


def cast(config: ConfigDict, key: str, value: Any) -> Any:
  """Return a choice, a word, as a value of the key's type."""
  if not isinstance(value, str):
    return value
  own: Any = config
  for name in key.split("."):
    own = own[name]
  if isinstance(own, str):
    return value
  if value.lower() in _BOOLEANS:
    return _BOOLEANS[value.lower()]
  try:
    return ast.literal_eval(value)
  except (ValueError, SyntaxError):
    return value


def apply_values(
  config: ConfigDict, values: Mapping[str, Any], given: Sequence[str] = ()
) -> ConfigDict:
  """Return a config with the values of a trial, locked and checked.

  Args:
    config: before the values.
    values: {dotted key: value}.
    given: other dotted keys that the user has set.

  Raises:
    ConfigError: a key is unknown, or a value makes no sense or has no use.
  """
  found = ConfigDict(config.to_dict()).lock()
  settings.apply(found, {k: cast(config, k, v) for k, v in values.items()})
  settings.check(found, given=(*given, *values))
  return found
