"""The flags among the words of a command, before absl parses them."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

# --noKEY sets a key of the config to false, and belongs to that key.
_FLAG = re.compile(
  r"--?(?:no(?=config\.))?(?P<name>[A-Za-z][\w.]*)(?:=(?P<value>.*))?", re.S
)


class Flag(NamedTuple):
  """A word that is a flag; the value is None if the next word has it."""

  name: str
  value: str | None


def parse(word: str) -> Flag | None:
  """Return the flag that a word is; None if it is no flag."""
  match = _FLAG.fullmatch(word)
  return Flag(**match.groupdict()) if match else None


def named(words: Sequence[str]) -> dict[str, str]:
  """Return the flags that words set, {name: its last word}, up to `--`.

  A flag is --name=value, --name value, or --noname of a key of the config.
  """
  before = itertools.takewhile(lambda word: word != "--", words)
  return {flag.name: word for word in before if (flag := parse(word))}


def take(words: Sequence[str], name: str) -> tuple[str | None, list[str]]:
  """Take a flag out of words: return its last value or None, and the rest."""
  value = None
  rest = []
  left = iter(words)
  for word in left:
    if word == "--":
      return value, [*rest, word, *left]
    flag = parse(word)
    if flag and flag.name == name:
      value = next(left, "") if flag.value is None else flag.value
    else:
      rest.append(word)
  return value, rest


def keep_last(words: Sequence[str]) -> list[str]:
  """Keep the last --config.KEY=VALUE of each key, up to `--`.

  absl keeps the last number or text by itself. But it would join the values of
  a tuple: features=(4,) and then features=(8,) would be (4, 8).
  """
  end = words.index("--") if "--" in words else len(words)
  kept = []
  seen = set()
  for word in reversed(words[:end]):
    flag = parse(word)
    key = ""
    if flag and flag.value is not None and flag.name.startswith("config."):
      key = flag.name
    if not key or key not in seen:
      kept.append(word)
    seen.add(key)
  return [*reversed(kept), *words[end:]]
