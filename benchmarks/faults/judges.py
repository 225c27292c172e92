"""Judges: what an outcome is worth."""

import re
from collections.abc import Callable

from benchmarks.faults import case
from benchmarks.faults.case import Judge, Outcome, Verdict

# Words by which a message says what to do or what would have been right.
_ADVICE = re.compile(
  r"expected|must|need|use |give |take |make |prepare|bring|move|delete|remove"
  r"|keep|try|choose|set |unset|known|one of|did you mean|lower|raise"
  r"|install|free|run |write |put |again|there (are|is)|wait|stop|restore"
  r"|instead|at least"
  r"|from .* on"
  r"|whole numbers|looked for|neither|outside|range"
  r"|allowed|train|rename|convert|lists|only|fewer|\d\s*(to|\.\.)\s*\d|or more",
  re.IGNORECASE,
)
_LENGTH = 1500  # characters that a user reads of one message
_LINES = 15


def trouble(outcome: Outcome) -> Verdict | None:
  """Return the verdict on hangs and tracebacks; None where there is none."""
  if outcome.hung:
    return Verdict(case.HANG, tail(outcome))
  if "Traceback (most recent call last)" in outcome.text:
    return Verdict(case.TRACEBACK, tail(outcome))
  if "JAX has removed its internal frames" in outcome.text:
    return Verdict(case.TRACEBACK, "JAX's note on frames reached the user")
  return None


def refusal(outcome: Outcome, names: tuple[str, ...]) -> Verdict:
  """Return whether an error is clear: short, with a name and an advice.

  Args:
    outcome: of an action that failed.
    names: any one of these has to be named; none: nothing has to be.
  """
  text = said(outcome)
  if outcome.code < 0:
    return Verdict(case.UNCLEAR, f"died of signal {-outcome.code}: {text}")
  if text.startswith("unexpected "):
    return Verdict(case.UNCLEAR, f"not foreseen: {text[:300]!r}")
  if names and not any(name.lower() in text.lower() for name in names):
    return Verdict(case.UNCLEAR, f"names none of {names}: {text[:300]!r}")
  if len(text) > _LENGTH or text.count("\n") > _LINES:
    return Verdict(case.UNCLEAR, f"{len(text)} characters: {text[:200]!r}")
  if not _ADVICE.search(text):
    return Verdict(case.UNCLEAR, f"not what to do: {text[:300]!r}")
  return Verdict(case.OK)


def refused(*names: str) -> Judge:
  """Judge what has to be an error, or a warning that names the thing."""
  return same_or_refused(None, *names)


def same_or_refused(
  right: Callable[[object], bool] | None, *names: str, wrong: str = case.SILENT
) -> Judge:
  """Judge what may succeed, if the value is right, or be refused.

  Args:
    right: tells whether the value is what it would be without the fault;
      None: no success is right.
    names: a refusal, or a warning beside another value, names one of these.
    wrong: the verdict on success with a value that is not right.
  """

  def judge(outcome: Outcome) -> Verdict:
    if found := trouble(outcome):
      return found
    if outcome.code:
      return refusal(outcome, names)
    if right is not None and right(outcome.value):
      return Verdict(case.OK)
    if _warned(outcome, names):
      return Verdict(case.OK)
    return Verdict(wrong, f"rc 0: {_short(outcome.value)} {tail(outcome)}")

  return judge


def works(
  right: Callable[[object], bool] | None = None, wrong: str = case.SILENT
) -> Judge:
  """Judge what has to succeed in spite of the fault.

  Args:
    right: tells whether the value is right; None: any is.
    wrong: the verdict on a value that is not.
  """

  def judge(outcome: Outcome) -> Verdict:
    if found := trouble(outcome):
      return found
    if outcome.code:
      why = f"failed (rc {outcome.code}): {said(outcome)[:300]!r}"
      return Verdict(case.UNCLEAR, why)
    if right is None or right(outcome.value):
      return Verdict(case.OK)
    return Verdict(wrong, f"{_short(outcome.value)} {tail(outcome)}")

  return judge


def no_trouble(*names: str) -> Judge:
  """Judge what may work or be refused, without a hang or a traceback."""
  return same_or_refused(lambda value: True, *names)


def nothing(value: object) -> bool:
  """Tell whether a value, as a list of differences, is empty."""
  return not value


def said(outcome: Outcome) -> str:
  """Return the error's own text: from "error:" on, or all."""
  return re.split(r"^error: ", outcome.text, flags=re.MULTILINE)[-1].strip()


def tail(outcome: Outcome) -> str:
  """Return the last line that was printed, shortened."""
  lines = outcome.text.strip().splitlines()
  return lines[-1][:240] if lines else ""


def _warned(outcome: Outcome, names: tuple[str, ...]) -> bool:
  """Tell whether a line warns of the thing, with one of its names."""
  signs = ("warning", "note:", "left out", "ignored", "differs", "cannot")
  return any(
    any(sign in line.lower() for sign in signs)
    and (not names or any(name.lower() in line.lower() for name in names))
    for line in outcome.text.splitlines()
  )


def _short(value: object) -> str:
  text = str(value)
  return "" if value is None else text[:200]
