"""Split a request in words into its parts, also where words have commas."""

import re
from collections.abc import Iterator, Sequence

from cvae_jax.data.conditions.attribute import Attribute


def split_request(
  text: str, attributes: Sequence[Attribute]
) -> Iterator[str | tuple[str, str]]:
  """Split "shape=triangle,size=0.9" into (name, value) at its commas.

  A name or a level may have a comma or a "=" in it: where the text goes on with
  such a name, or a level of the attribute, it is taken whole.

  Args:
    text: of the request.
    attributes: that can be asked for.

  Yields:
    A name and a value; or the part itself, if it is not name=value.
  """
  heads = [(re.compile(_head(a.name)), _value(a), a.name) for a in attributes]
  heads.sort(key=lambda head: -len(head[2]))
  while text := text.strip(", \t\n"):
    for head, value, name in heads:
      if found := head.match(text):
        said = value.match(text, found.end())
        yield name, said[1].strip()
        text = text[said.end() :]
        break
    else:
      part, _, text = text.partition(",")
      name, equals, said = (word.strip() for word in part.partition("="))
      yield (name, said) if equals and name else part.strip()


def _head(name: str) -> str:
  return rf"{re.escape(name)}\s*=\s*"


def _value(attribute: Attribute) -> re.Pattern:
  """Match a value up to a comma, or a level, or several joined by ";"."""
  levels = sorted(attribute.levels, key=len, reverse=True)
  one = "|".join([*map(re.escape, levels), "[^,;]*"])
  return re.compile(rf"((?:{one})(?:\s*;\s*(?:{one}))*(?=\s*(?:,|$))|[^,]*)")
