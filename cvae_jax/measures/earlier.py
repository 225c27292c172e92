"""Join new scores of a run with the earlier ones that are still valid.

Each part of the scores depends on some entries of the protocol. A part that is
not measured now is kept if these entries are the same.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cvae_jax.measures.score_text import warnings

_CONTROL = "control by judges"
_BY_JUDGES = ("edits", "cas")  # parts of their own that judges read
_PARTS = ("representation", *_BY_JUDGES)


class Merged(NamedTuple):
  """New scores with what stays of earlier ones."""

  scores: dict[str, Any]
  kept: tuple[str, ...] = ()  # parts that stay
  lost: tuple[str, ...] = ()  # parts of another protocol, which are left out


def merge(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Merged:
  """Return new scores with the earlier ones that still hold.

  Args:
    new: of a run's state.
    old: earlier ones of the same state, if there are some.
  """
  found = dict(new)
  if not old:
    return Merged(found)
  now, before = comparable(new["protocol"]), comparable(old["protocol"])

  def is_alike(*names: str) -> bool:
    return all(now.get(name) == before.get(name) for name in names)

  kept, lost = [], []
  same = is_alike("seed", "test_examples")
  same_judges = is_alike("judges")
  if before["judges"] and not now["judges"]:
    same_judges = same and is_alike("per_class")
    (kept if same_judges else lost).append(_CONTROL)
    if same_judges:
      found |= _take_control(found, old)
  for part in _PARTS:
    if part in old and part not in new:
      holds = same and (same_judges or part not in _BY_JUDGES)
      (kept if holds else lost).append(part)
      found |= {part: old[part]} if holds else {}
  return Merged(found, tuple(kept), tuple(lost))


def _take_control(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict:
  """Return the parts of scores that judges read, as they were before."""
  taken = {name: old[name] for name in ("control", "leakage") if name in old}
  judges = {"judges": old["protocol"]["judges"]}
  taken["protocol"] = new["protocol"] | judges
  return taken | {"warnings": warnings({**new, **taken})}


def comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
  """Name folders by their last part, since they may have been moved."""
  named = protocol.get("judges", [])
  judges = [judge | {"run": Path(judge["run"]).name} for judge in named]
  rest = {name: value for name, value in protocol.items() if name != "run"}
  return rest | {"judges": judges}


def lines(merged: Merged, later: Collection[str] = ()) -> list[str]:
  """Say in a line what stays of earlier scores, and in one what does not.

  Args:
    merged: of `merge`.
    later: parts that the same command measures next.
  """
  kept, lost = (
    ", ".join(part for part in parts if part not in later)
    for parts in (merged.kept, merged.lost)
  )
  found = []
  if kept:
    found.append(f"kept from before, of the same state: {kept}")
  if lost:
    found.append(
      f"left out from before, since the seed, the judges or the counts are "
      f"others now: {lost}"
    )
  return found
