"""What becomes of a source's claim when it is measured."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


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


def outcome_of_all(
  intervals: Iterable[tuple[float, float]], threshold: float = 0.0
) -> str:
  """Judge a claim that needs several gains at once, by their intervals.

  Confirmed where all intervals lie above the threshold, contradicted where one
  lies below it, undecided otherwise, and where an end is not a number.
  """
  lows, highs = zip(*intervals, strict=True)
  if any(map(math.isnan, (*lows, *highs))):
    return "undecided"
  if min(lows) > threshold:
    return "confirmed"
  return "contradicted" if min(highs) < threshold else "undecided"


def t_interval(values: Sequence[float]) -> tuple[float, float]:
  """Return Student's 95 % interval of the mean of two values or more."""
  mean = np.mean(values)
  # stats.t.interval would give no numbers where all values are equal.
  error = stats.sem(values)
  reach = stats.t.ppf(0.975, len(values) - 1) * error
  return float(mean - reach), float(mean + reach)


def page(verdicts: Iterable[Verdict]) -> str:
  """Write verdicts as a list."""
  return "\n".join(
    f"- **{v.claim}: {v.outcome}.** {'; '.join(v.reasons)}." for v in verdicts
  )
