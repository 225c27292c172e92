"""Run faults and print a table: `python -m benchmarks.faults`."""

import argparse
import collections
import json
import os
import queue
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.faults import GROUPS, catalogue
from benchmarks.faults.case import FAILURES, HANG, NOT_RUN, OK, TRACEBACK, Fault
from benchmarks.faults.launching import PATIENCE, ROOT

GRACE = 60  # seconds past a fault's own limit until its worker is killed


class Worker:
  """A process that runs faults; it is started anew where one hangs."""

  def __init__(self, folder: Path):
    self._folder = folder
    self._process = None

  def run(self, fault: Fault) -> list:
    """Return [name, verdict, why, seconds]."""
    if self._process is None:
      self._start()
    self._process.stdin.write(f"{fault.name}\n".encode())
    self._process.stdin.flush()
    limit = fault.limit * PATIENCE + GRACE
    ready, _, _ = select.select([self._process.stdout], [], [], limit)
    line = self._process.stdout.readline() if ready else b""
    if line:
      return json.loads(line)
    self.stop()
    if ready:
      return [fault.name, TRACEBACK, "the process died", 0.0]
    return [fault.name, HANG, f"deaf after {limit} s", float(limit)]

  def stop(self) -> None:
    """End the process."""
    if self._process:
      self._process.kill()
      self._process.wait()
      self._process = None

  def _start(self) -> None:
    order = [sys.executable, "-m", "benchmarks.faults.running", self._folder]
    log = (self._folder / f"worker_{id(self)}.log").open("ab")
    pipe = subprocess.PIPE
    self._process = subprocess.Popen(
      order, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=log
    )


def run_all(faults: list[Fault], folder: Path, jobs: int) -> list[list]:
  """Run faults on several workers; failures are printed as they come."""
  waiting = queue.SimpleQueue()
  answers = []
  for fault in faults:
    waiting.put(fault)

  def serve():
    worker = Worker(folder)
    try:
      while True:
        answer = worker.run(waiting.get_nowait())
        answers.append(answer)
        if answer[1] in FAILURES:
          name, word, why, _ = answer
          print(f"{word:9}  {name}\n           {why}", flush=True)
    except queue.Empty:
      pass
    finally:
      worker.stop()

  threads = [threading.Thread(target=serve) for _ in range(jobs)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return answers


def table(faults: list[Fault], answers: list[list]) -> str:
  """Return counts of verdicts, a row a group."""
  of_group = {fault.name: fault.group for fault in faults}
  counts = collections.Counter((of_group[a[0]], a[1]) for a in answers)
  words = (OK, *FAILURES, NOT_RUN)
  lines = [f"{'group':12} {'faults':>9}" + "".join(f"{w:>10}" for w in words)]
  groups = [g for g in GROUPS if g in of_group.values()]
  for group in [*groups, "all"]:
    row = [
      sum(
        n for (g, w), n in counts.items() if w == word and group in (g, "all")
      )
      for word in words
    ]
    shown = "".join(f"{n:>10}" for n in row)
    lines.append(f"{group:12} {sum(row):>9}{shown}")
  return "\n".join(lines)


def main() -> int:
  """Print the table and what failed; exit code 1 where anything did."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  add = parser.add_argument
  add("--group", default="", help=f"of {','.join(GROUPS)}; default: all")
  add("--quick", action="store_true", help="those of the test suite alone")
  add("--jobs", type=int, default=2, help="processes")
  # FAULTS_PATIENCE=4 in the environment multiplies all time limits by 4.
  add("--only", default="", help="faults whose names contain this")
  add("--folder", type=Path, help="to work in; default: a temporary one")
  add("--slowest", type=int, default=0, help="also list the N slowest")
  args = parser.parse_args()
  groups = [group for group in args.group.split(",") if group]
  if unknown := sorted(set(groups) - set(GROUPS)):
    parser.error(f"no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
  faults = [
    fault
    for fault in catalogue(groups).values()
    if args.only in fault.name and (fault.quick or not args.quick)
  ]
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  folder = args.folder or Path(tempfile.mkdtemp(prefix="faults_"))
  folder.mkdir(parents=True, exist_ok=True)
  begun = time.monotonic()
  try:
    answers = run_all(faults, folder, args.jobs)
  finally:
    if not args.folder:
      shutil.rmtree(folder, ignore_errors=True)
  failed = [answer for answer in answers if answer[1] in FAILURES]
  missing = [answer for answer in answers if answer[1] == NOT_RUN]
  print(table(faults, answers))
  for name, _, why, _ in missing:
    print(f"not run: {name}: {why}")
  for name, _, _, took in sorted(answers, key=lambda a: -a[3])[: args.slowest]:
    print(f"{took:6.1f} s  {name}")
  minutes = (time.monotonic() - begun) / 60
  print(f"{len(answers)} faults, {len(failed)} failed, in {minutes:.1f} min")
  return int(bool(failed) or len(answers) < len(faults))


if __name__ == "__main__":
  sys.exit(main())
