"""The entries of a table of names, checked; see `weight_table`."""

from collections.abc import Mapping
from typing import Any

from cvae_jax.host.arguments import RunError

_KEYS = {"from", "as", "in", "in_map", "out_map"}
_KINDS = ("linear", "conv", "conv_transpose", "norm")


def entries(names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Return the table with each entry whole.

  Raises:
    RunError: an entry is not what a table may say.
  """
  found = {}
  for layer, said in names.items():
    if layer == "ignore":
      continue
    entry = said if isinstance(said, dict) else {"from": said}
    origin = entry.get("from")
    origin = [origin] if isinstance(origin, str) else origin
    if not origin or entry.keys() - _KEYS:
      raise RunError(
        f"the table's entry of {layer} is {said!r}; expected a name, or a "
        f"mapping of {', '.join(sorted(_KEYS))}"
      )
    entry = {**entry, "from": origin}
    for key, (fits, expected) in _FORMS.items():
      if key in entry and not fits(entry[key]):
        raise RunError(
          f"{layer}: its {key!r} is {entry[key]!r}; expected {expected}"
        )
    found[layer] = entry
  return found


def list_ignored(names: Mapping[str, Any]) -> set[str]:
  """Return the names that the table leaves out.

  Raises:
    RunError: they are no list of names.
  """
  found = names.get("ignore", [])
  if not _are_names(found):
    raise RunError(f"the table's ignore is {found!r}; expected a list of names")
  return set(found)


def _are_names(found: Any) -> bool:
  return isinstance(found, list) and all(isinstance(n, str) for n in found)


def _are_sizes(found: Any, count: int, least: int) -> bool:
  whole = isinstance(found, list) and all(type(n) is int for n in found)
  return whole and len(found) == count and min(found) >= least


def _are_blocks(found: Any) -> bool:
  return isinstance(found, list) and all(_are_sizes(b, 2, 0) for b in found)


def _is_map(found: Any) -> bool:
  return _are_sizes(found, 3, 1)


_FORMS = {  # what an entry may be
  "from": (_are_names, "a name, or a list of names"),
  "as": (_KINDS.__contains__, ", ".join(_KINDS)),
  "in": (_are_blocks, "blocks [[first, end], …]"),
  "in_map": (_is_map, "[height, width, channels]"),
  "out_map": (_is_map, "[height, width, channels]"),
}
