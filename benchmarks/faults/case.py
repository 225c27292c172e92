"""What a fault, its outcome and a verdict are."""

import dataclasses
from collections.abc import Callable
from typing import Any

# Verdicts. All but the first two are failures.
OK = "ok"
NOT_RUN = "not run"  # the machine cannot do it; never counted as passed
LOSS = "loss"  # rows, steps or files of a run are gone
HANG = "hang"  # past the time limit
SILENT = "silent"  # a wrong result, success, and no word about it
TRACEBACK = "traceback"  # one reached the user
UNCLEAR = "unclear"  # an error without the thing's name or what to do
FAILURES = (LOSS, HANG, SILENT, TRACEBACK, UNCLEAR)


class CannotRun(Exception):
  """Says what this machine lacks for a fault."""


@dataclasses.dataclass
class Outcome:
  """What came of an action.

  `code` is the exit status, 0 for a call that returned; `text` all that was
  printed or raised; `value` what a call returned or a judge needs to know.
  """

  code: int
  text: str
  value: Any = None
  hung: bool = False


@dataclasses.dataclass
class Verdict:
  """One word and, for failures, why."""

  word: str
  why: str = ""


Judge = Callable[[Outcome], Verdict]


@dataclasses.dataclass(frozen=True)
class Fault:
  """One fault. `act` takes a Room. `quick` ones are in the test suite."""

  name: str
  group: str
  act: Callable[[Any], Outcome]
  judge: Judge
  quick: bool = False
  limit: int = 120  # seconds until it counts as a hang


class Group:
  """Collects the faults of one group in the order they are written."""

  def __init__(self, name: str):
    self.name = name
    self._faults: list[Fault] = []

  def add(self, name: str, act: Callable, judge: Judge, **options) -> None:
    """Add a fault of this group."""
    name = f"{self.name}: {name}"
    self._faults.append(Fault(name, self.name, act, judge, **options))

  def fault(self, name: str, judge: Judge, **options) -> Callable:
    """Add the decorated function as a fault's action."""

    def keep(act):
      self.add(name, act, judge, **options)
      return act

    return keep

  def faults(self) -> list[Fault]:
    """Return all that were added."""
    return list(self._faults)
