"""The words of a search's space, read: an axis for each key.

config.optim.lr=log:1e-4..1e-2          a number, its logarithm uniform
config.model.dropout=float:0..0.5       a number; /0.1 behind it: in steps
config.model.latents=int:2..50          a whole number; /2: in steps
config.model.code=logint:8..512         the same, its logarithm uniform
config.optim.name=one of:adam,lion      one of several values
config.model.widths=(64,64),(512,)      the same; a tuple is one value
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from cvae_jax import settings
from cvae_jax.host import variants
from cvae_jax.settings import ConfigError

KINDS = ("log", "float", "int", "logint", "one of")
_KIND = re.compile(r"\s*([a-z][a-z ]*?)\s*:(.*)", re.DOTALL)


class Axis(NamedTuple):
  """One key and the values that it may have."""

  key: str  # dotted, without "config."
  kind: str  # one of KINDS
  low: float = 0
  high: float = 0
  step: float | None = None
  values: tuple[str, ...] = ()


def parse(words: Sequence[str]) -> list[Axis]:
  """Return the axes that words describe, in the grammar above.

  Raises:
    ConfigError: a word is none, a range is empty, or a key comes twice.
  """
  axes: dict[str, Axis] = {}
  for word in words:
    axis = _axis(word)
    if axis.key in axes:
      raise ConfigError(f"--space: config.{axis.key} comes twice; give it once")
    axes[axis.key] = axis
  return list(axes.values())


def _axis(word: str) -> Axis:
  key, _, told = word.partition("=")
  key = key.strip().removeprefix("config.")
  match = _KIND.fullmatch(told)
  kind = " ".join(match[1].split()) if match else "one of"
  told = match[2] if match else told
  if not key or not told.strip():
    raise ConfigError(
      f"--space={word!r}: expected a key and what it may be, as in "
      "config.optim.lr=log:1e-4..1e-2 or config.model.latents=int:2..50"
    )
  if kind not in KINDS:
    raise ConfigError(
      f"--space={word!r}: {kind!r} is no kind of value"
      f"{settings.hint(kind, KINDS)}"
    )
  if kind == "one of":
    if not match and ".." in told:
      raise ConfigError(
        f"--space={word!r}: say what the range is of: log:, float:, int: or "
        "logint: before it"
      )
    return Axis(key, kind, values=_choices(word, told))
  return Axis(key, kind, *_range(word, kind, told))


def _choices(word: str, told: str) -> tuple[str, ...]:
  """Return the values between commas; a tuple is one value."""
  try:
    found = [point["x"] for point in variants.grid([f"x={told}"])]
  except ConfigError as error:
    said = str(error).partition("': ")[2]
    raise ConfigError(f"--space={word!r}: {said}") from None
  if len(found) < 2:
    raise ConfigError(
      f"--space={word!r}: found one value; give two or more, or set it by "
      "--config.…="
    )
  return tuple(found)


def _range(word: str, kind: str, told: str) -> tuple[float, float, float]:
  """Return low, high and step of "low..high/step"."""
  low, dots, rest = told.partition("..")
  high, slash, step = rest.partition("/")
  number = int if "int" in kind else float
  try:
    if not dots or rest[:1] == "." or (slash and kind.startswith("log")):
      raise ValueError
    ends = number(low), number(high)
    step = number(step) if slash else None
  except ValueError:
    numbers = "whole numbers" if number is int else "numbers"
    more = "" if kind.startswith("log") else ", /step behind it if you like"
    raise ConfigError(
      f"--space={word!r}: expected {kind}:LOW..HIGH, two {numbers}{more}"
    ) from None
  least = 0 if kind.startswith("log") else -float("inf")
  if not least < ends[0] < ends[1] < float("inf"):
    expected = "0 < LOW < HIGH" if least == 0 else "LOW < HIGH"
    raise ConfigError(
      f"--space={word!r}: expected {expected}; found {low.strip()} and "
      f"{high.strip()}"
    )
  if step is not None and not 0 < step <= ends[1] - ends[0]:
    raise ConfigError(
      f"--space={word!r}: a step lies above 0 and within the range"
    )
  return *ends, step
