"""Running one fault, and the worker process that runs many."""

import json
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from benchmarks.faults import case, launching
from benchmarks.faults.case import CannotRun, Fault, Outcome, Verdict
from benchmarks.faults.room import Base, Room, prepare_process


class _TooLong(BaseException):
  """Ends an action past its limit; no handler of the product catches it."""


def verdict(fault: Fault, base: Base) -> Verdict:
  """Run a fault in a folder of its own and judge it."""
  folder = tempfile.mkdtemp(prefix="fault_", dir=base.folder)
  room = Room(base, Path(folder))
  rung = []

  def ring(number, frame):
    rung.append(number)
    raise _TooLong

  old = signal.signal(signal.SIGALRM, ring)
  limit = fault.limit * launching.PATIENCE
  signal.alarm(limit)
  try:
    outcome = fault.act(room)
  except CannotRun as reason:
    return Verdict(case.NOT_RUN, str(reason))
  except _TooLong:
    pass
  except Exception:  # a fault of the harness, or of a call outside `call`
    outcome = Outcome(1, traceback.format_exc())
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)
    room.leave()
  if rung:  # even if a command turned the bell into an error of its own
    outcome = Outcome(-1, f"no end after {limit} s", hung=True)
  return fault.judge(outcome)


def work() -> None:
  """Run the faults whose names come in, a line of JSON out for each."""
  folder = Path(sys.argv[1])
  answers = sys.stdout
  sys.stdout = sys.stderr  # what is printed outside an action
  prepare_process()
  from benchmarks.faults import catalogue

  faults = catalogue()
  base = Base(folder)
  for line in sys.stdin:
    fault = faults[line.rstrip("\n")]
    begun = time.monotonic()
    found = verdict(fault, base)
    answer = [fault.name, found.word, found.why, time.monotonic() - begun]
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  work()
