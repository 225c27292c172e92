"""Checks of a config's values, and their errors."""

import difflib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.defaults import BY_HAND, GROUPS, IGNORED, NEEDS, OWN, SYSTEMS

SEEDS = 2**32  # jax keeps 32 bits: a seed of 2**32 would equal 0


class ConfigError(ValueError):
  """Says what is wrong with a config, what was expected and what to do."""


# By a key's last word, whatever its group. (least, limit, what was expected)
_SIZES = (
  "latents levels features widths strides dense side kernel hidden code "
  "streams image_shape directions map harmonics critic_steps "
  "generator_updates every accumulate"
).split()
_MOST = {"strides": 64, "kernel": 64}  # a step's program grows with each tap
_PERIODS = ("accumulate", "critic_steps")  # steps until parameters move
_NOT_NEGATIVE = (
  "decay eps min_delta floor slope noise_level count images frechet "
  "conditions holdout grey_start warm_up train_rows train_images test_images "
  "start tile slots crop pool_after given_after weight distortion clip "
  "weight_decay warmup steps final shift"
).split()
_SHARES = (
  "dropout",
  "input_dropout",
  "b1",
  "b2",
  "relative",
  "smoothing",
  "condition_dropout",
  "ema",
  "momentum",
  "label_smoothing",
)


def check(
  config: ConfigDict, used: bool = True, given: Iterable[str] = ()
) -> None:
  """Check every number of a config, at any depth, and that each is used.

  Args:
    config: of a page or a run.
    used: whether to refuse keys without effect; False for a system of the
      user's own, whose keys are unknown.
    given: the dotted keys that the user has set, and not the page.

  Raises:
    ConfigError: one is not finite, or makes no sense where it stands; or a
      choice is set that the system does not use.
  """
  found = dict(leaves(config.to_dict()))
  if used and (why := _find_idle(found, given)):
    raise ConfigError(why)
  for key, value in found.items():
    for number in _numbers(value):
      if expected := _describe_expected(key, number):
        shown = "" if number is value else f" in {value!r}"
        raise ConfigError(
          f"config.{key}: found {number!r}{shown}; expected {expected}"
        )


def check_periods(config: ConfigDict, steps: int) -> None:
  """Check that parameters move within a run's steps.

  Raises:
    ConfigError: they would after more steps than there are.
  """
  for key, value in leaves(config.to_dict()):
    if key.rpartition(".")[2] in _PERIODS and value > steps:
      raise ConfigError(
        f"config.{key}={value} is more than the {steps} steps of the run, so "
        "its parameters would never move; give a smaller one, or more epochs"
      )


def _find_idle(config: Mapping[str, Any], given: Iterable[str]) -> str | None:
  """Say which of {dotted key: value} has no effect; None if each has one.

  Of a system that is not the package's own nobody knows which keys it uses.
  """
  system = config.get("system", "")
  if system not in OWN:
    return None
  return (
    _find_unused(config, system)
    or _find_ignored(config, system)
    or _find_by_hand(config, given)
  )


def _find_unused(config: Mapping, system: str) -> str | None:
  """Find a choice that the system, or another choice, leaves idle."""
  usual = dict(leaves(GROUPS))
  for key in SYSTEMS.keys() | NEEDS.keys():
    value = config.get(key)
    value = tuple(value) if isinstance(value, list) else value  # from JSON
    without_effect = (usual.get(key, ""), None)
    if value in without_effect or (key, value) == ("data.binarise", "static"):
      continue  # static values are drawn by the source, for any system
    users = SYSTEMS.get(key, (system,))
    if system not in users:
      return (
        f"config.{key}={value}: the system {system} does not use it; systems "
        f"that do: {', '.join(users)}"
      )
    rule = NEEDS.get(key)
    if rule is None or not rule.concerns(system):
      continue
    if not rule.allows(config.get(rule.key)):
      return rule.explain(key, config)
  return None


def _find_ignored(config: Mapping, system: str) -> str | None:
  """Find a key that a system's networks have and the system never uses."""
  for key in IGNORED.get(system, ()):
    if config.get(key):
      return (
        f"config.{key}={config[key]}: the system {system} does not use it; "
        "leave it at 0"
      )
  return None


def _find_by_hand(config: Mapping, given: Iterable[str]) -> str | None:
  """Find a key that a page may set for its own choices, but nobody here."""
  for key in given:
    rule = BY_HAND.get(key)
    if rule is None or rule.key not in config:
      continue
    if not rule.concerns(config.get("data.name")):
      continue
    if not rule.allows(config[rule.key]):
      return rule.explain(key, config)
  return None


def _describe_expected(key: str, number: float) -> str | None:
  """Return what was expected instead of a number; None if it is allowed."""
  group, _, name = key.rpartition(".")
  if isinstance(number, str):
    return "numbers" if name in (*_SIZES, *_SHARES) else None
  if not math.isfinite(number):
    return "a finite number"
  if key == "seed" or name == "label_seed":
    expected = f"a whole number from 0 to {SEEDS - 1}"
    return None if 0 <= number < SEEDS else expected
  if name == "lr" or name.endswith("_lr"):
    return None if number > 0 else "a number above 0"
  if name in _SHARES:
    return None if 0 <= number < 1 else "a number from 0 to below 1"
  if name in _SIZES and group != "loss":
    most = _MOST.get(name, math.inf)
    fits = isinstance(number, int) and 1 <= number <= most
    limits = f"1 to {most}" if name in _MOST else "1 or more"
    return None if fits else f"{limits}, a whole number"
  if name in _NOT_NEGATIVE or group.split(".")[0] == "loss":
    return None if number >= 0 else "0 or more"
  return None


def _numbers(value: Any) -> Iterator[float]:
  """Yield the numbers of a value, and all of sequences; true is none."""
  if isinstance(value, Sequence) and not isinstance(value, str):
    for item in value:
      yield from [item] if isinstance(item, str) else _numbers(item)
  elif isinstance(value, (int, float)) and not isinstance(value, bool):
    yield value


def check_key(config: ConfigDict, key: str) -> None:
  """Check that a config has a dotted key.

  Raises:
    ConfigError: it has not; the nearest key and the known ones are named.
  """
  group = config
  where = "config"
  for name in key.split("."):
    if not isinstance(group, ConfigDict):
      raise ConfigError(f"{where} is a value and has no {name!r}")
    if name not in group:
      users = SYSTEMS.get(key, ())
      raise ConfigError(
        f"{where} has no key {name!r}{hint(name, group)}"
        + (f"; systems that have {key}: {', '.join(users)}" if users else "")
      )
    group = group[name]
    where += f".{name}"


def apply(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
  """Set dotted keys that a config has, each to a value of its type.

  Raises:
    ConfigError: a key is not there, or a value is of another type.
  """
  for key, value in overrides.items():
    check_key(config, key)
    try:
      if value is None:  # ml_collections takes it for a value of any type
        raise TypeError("None is no value of a key")
      config.update_from_flattened_dict({key: value})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
      old = config
      for name in key.split("."):
        old = old[name]
      expected = "a group" if isinstance(old, ConfigDict) else repr(old)
      raise ConfigError(
        f"config.{key}: found {value!r}; expected a value like {expected} "
        f"({' '.join(str(error).split())[:200]})"
      ) from None


def leaves(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Yield (dotted key, value) of nested mappings."""
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from leaves(value, f"{prefix}{key}.")
    else:
      yield f"{prefix}{key}", value


def hint(name: str, names: Collection[str]) -> str:
  """Return "; did you mean …" and the names there are, or the nearest few."""
  words = str(name).split("_")
  words += ["".join(word[:1] for word in words)]  # lr of learning_rate
  close = difflib.get_close_matches(str(name), list(names), n=1)
  close = close or [k for k in names if k in words]
  guess = f"; did you mean {close[0]!r}?" if close else ";"
  if len(names) <= 40:
    return f"{guess} known: {', '.join(sorted(names))}"
  near = difflib.get_close_matches(str(name), list(names), n=6, cutoff=0.0)
  return f"{guess} the nearest: {', '.join(near)}"
