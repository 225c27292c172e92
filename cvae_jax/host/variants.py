"""The words behind a config page: variants, and the points of a grid."""

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.host import flag_words
from cvae_jax.settings import ConfigError, hint

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_COMMA = re.compile(r",(?![^(\[]*[)\]])")  # of no tuple


def parse_variants(arg: str, known: Mapping[str, Any]) -> dict[str, Any]:
  """Parse "model=2,smoke" with `known` names and defaults.

  The default's type is the value's; a bare name of a bool means True.
  """
  values = dict(known)
  seen = set()
  for part in filter(None, (arg or "").split(",")):
    name, equals, text = part.partition("=")
    if name in seen:
      raise ConfigError(f"variant {name!r} comes twice in {arg!r}")
    seen.add(name)
    if name not in known:
      raise ConfigError(f"unknown variant {name!r}{hint(name, known)}")
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


def choose_system(
  pages: Mapping[str, Any], variants: Mapping[str, Any], default: str
) -> str:
  """Return the one of a file's pages that the variants name.

  Raises:
    ConfigError: they name several.
  """
  named = [name for name in pages if variants[name]]
  if len(named) > 1:
    raise ConfigError(f"one system at a time, found {' and '.join(named)}")
  return named[0] if named else default


def check_used(
  variants: Mapping[str, Any],
  known: Mapping[str, Any],
  only: Mapping[str, Sequence[str]],
  system: str,
) -> None:
  """Check that a system uses every variant that is set.

  Args:
    variants: {name: value}, of parse_variants.
    known: {name: default}.
    only: {name: the systems that use it}, of variants that not all use.
    system: the one that was chosen.

  Raises:
    ConfigError: it would have no effect.
  """
  for name, systems in only.items():
    if variants[name] != known[name] and system not in systems:
      raise ConfigError(f"{name} is for {', '.join(systems)}; found {system}")


def climb(
  config: ConfigDict, ladder: Sequence[Mapping[str, Any]], rung: int
) -> None:
  """Apply the first `rung` deltas of a ladder, each {dotted key: value}.

  Raises:
    ConfigError: the ladder has no such rung.
  """
  if not 1 <= rung <= len(ladder):
    raise ConfigError(f"no model {rung}; there are 1 to {len(ladder)}")
  for change in ladder[:rung]:
    config.update_from_flattened_dict(change)


def select_variants(variants: list[str], only: list[str]) -> list[str]:
  """Keep the variants that match a word of `only`, all if it is empty.

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


def grid(words: list[str]) -> list[dict[str, str]]:
  """Return every combination of values: a list of {dotted key: value}.

  Args:
    words: each a key and its values, "config.optim.lr=1e-3,3e-4" or
      "config.seed=0..4", which is 0 to 4; a tuple is one value. The key may
      do without "config.".

  Raises:
    ConfigError: a word has no key or no value, or a key comes twice.
  """
  axes: dict[str, list[str]] = {}
  for word in words:
    key, _, values = word.partition("=")
    key = key.strip().removeprefix("config.")
    if not key or not values.strip():
      raise ConfigError(
        f"--grid={word!r}: expected a key and its values, as in "
        "config.optim.lr=1e-3,3e-4 or config.seed=0..4"
      )
    if key in axes:
      raise ConfigError(f"--grid: config.{key} comes twice; give it once")
    axes[key] = list(dict.fromkeys(_values(word, values)))
  return [
    dict(zip(axes, point, strict=True))
    for point in itertools.product(*axes.values())
  ]


def check_shared(words: Sequence[str], keys: Iterable[str]) -> None:
  """Check that words for all trainings set nothing that each has of its own.

  Args:
    words: behind `--`.
    keys: the dotted keys of the grid.

  Raises:
    ConfigError: they name a page or a folder, or a key of the grid. The last
      word of a flag holds, so all trainings would be the same one.
  """
  given = flag_words.named(words)
  for name in ("config", "workdir"):
    if name in given:
      raise ConfigError(
        f"behind --: found {given[name]}, which each training has of its own; "
        f"give --{name} before the --"
      )
  for key in keys:
    if (word := given.get(f"config.{key}")) is not None:
      raise ConfigError(
        f"behind --: found {word}, but --grid sets config.{key} of each "
        "training; give it in one of the two places"
      )


def _values(word: str, text: str) -> Iterator[str]:
  """Yield the values between commas, and the numbers of a range."""
  for value in map(str.strip, _COMMA.split(text)):
    if not value:
      raise ConfigError(f"--grid={word!r}: a value between commas is empty")
    if match := _RANGE.fullmatch(value):
      first, last = map(int, match.groups())
      if last < first:
        raise ConfigError(f"--grid={word!r}: {value} has no number in it")
      yield from map(str, range(first, last + 1))
    else:
      yield value
