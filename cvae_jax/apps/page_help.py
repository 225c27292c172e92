"""Help on a config page: its variants, and every key with its comment."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvae_jax import config, defaults, pages, settings

_WIDTH = 44  # width of a key and its value, before the comment


def variants(page: str) -> dict[str, Any]:
  """Return the variants that a page knows: {name: default}.

  They are the arguments of its call of config.parse_variants.

  Raises:
    ConfigError: there is no such page, or it fails.
  """
  found = pages.module(page)
  known = {}

  def listen(arg, names):
    known.update(names)
    return config.parse_variants(arg, names)

  if hasattr(found, "parse_variants"):
    found.parse_variants = listen  # the page's own name: no other page sees it
    with pages.explain_errors(Path(pages.find(page))):
      found.get_config("")
  return known


def lines(name: str) -> Iterator[str]:
  """Yield the lines of a page's help.

  Args:
    name: the page and its variants; the word help among them is left out.

  Raises:
    ConfigError: there is no such page or variant, or the page fails.
  """
  page, _, words = name.partition(":")
  chosen = ",".join(word for word in words.split(",") if word != "help")
  loaded = config.load_page(f"{page}:{chosen}")
  source = Path(pages.find(page))
  text = source.read_text(encoding="utf-8")
  yield f"{ast.get_docstring(ast.parse(text)) or page}\n"
  if known := variants(page):
    yield f"Variants and their defaults, as in --config={page}:NAME,NAME=VALUE"
    yield from (f"  {format_variant(item)}" for item in known.items())
    yield ""
  yield f"Keys, as in --config.KEY=VALUE{f'; with {chosen}' if chosen else ''}"
  loop = comments(Path(defaults.__file__).read_text(encoding="utf-8"))
  own = comments(text)
  of_loop = dict(settings.leaves(defaults.LOOP | defaults.GROUPS))
  for key, value in settings.leaves(loaded.to_dict()):
    comment = _nearest(key, own)
    if key in of_loop:
      comment = loop.get(key) or comment
    left = f"  {key} = {value!r}"
    yield f"{left:{_WIDTH}}  # {comment}" if comment else left


def comments(text: str) -> dict[str, str]:
  """Return the comments at a source's dictionary keys: {dotted key: text}.

  A key that occurs in several places has a comment only if all places have the
  same one.

  Args:
    text: of Python; a comment stands at the end of the line of a value.
  """
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  at = {
    token.start[0]: token.string.lstrip("# ").strip()
    for token in tokens
    if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
  }
  found = {}

  def visit(node: ast.AST, prefix: str) -> None:
    pairs = zip(node.keys, node.values, strict=True) if _is_dict(node) else ()
    for key, value in pairs:
      if isinstance(key, ast.Constant) and isinstance(key.value, str):
        if "." in key.value:  # a table or a change of keys, not the keys
          continue
        name = f"{prefix}{key.value}"
        line = key.lineno if _is_dict(value) else value.end_lineno
        found.setdefault(name, set()).add(at.get(line, ""))
        visit(value, f"{name}.")
      else:
        visit(value, prefix)
    if not _is_dict(node):
      for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword) and child.arg:  # loop(epochs=8)
          name = f"{prefix}{child.arg}"
          found.setdefault(name, set()).add(at.get(child.value.end_lineno, ""))
        visit(child, prefix)

  visit(ast.parse(text), "")
  return {key: said.pop() for key, said in found.items() if len(said) == 1}


def _is_dict(node: ast.AST) -> bool:
  return isinstance(node, ast.Dict)


def _nearest(key: str, comments: dict[str, str]) -> str:
  """Return the comment of a key, or of the longest end of it that has one.

  A page may build a group in a separate dictionary, which does not say where
  the group belongs.
  """
  parts = key.split(".")
  ends = (".".join(parts[first:]) for first in range(len(parts)))
  return next((comments[end] for end in ends if comments.get(end)), "")


def format_variant(variant: tuple[str, Any]) -> str:
  """Return a variant, (name, default), as it is typed.

  A variant that is off by default is typed as its name.
  """
  name, default = variant
  return name if default is False else f"{name}={default!r}"
