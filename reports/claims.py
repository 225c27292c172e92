"""What becomes of a source's claim when it is measured."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Verdict(NamedTuple):
  """A claim, what became of it and why."""

  claim: str
  outcome: str  # see `outcome`; met or missed of a target; or not measured
  reasons: list[str]


def outcome(gains: Sequence[float], threshold: float = 0.0) -> str:
  """Judge a claim by gains that are positive where it holds.

  Confirmed where all are above the threshold, contradicted where all are
  below its negative, undecided otherwise, and where a gain is not a number.
  """
  if any(math.isnan(gain) for gain in gains):
    return "undecided"
  if min(gains) > threshold:
    return "confirmed"
  return "contradicted" if max(gains) < -threshold else "undecided"


def page(verdicts: Iterable[Verdict]) -> str:
  """Write verdicts as a list."""
  return "\n".join(
    f"- **{v.claim}: {v.outcome}.** {'; '.join(v.reasons)}." for v in verdicts
  )
