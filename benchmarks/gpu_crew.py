"""Runs commands side by side, each with a log of its own, as they may begin."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[1]


class Job(NamedTuple):
  """A command, and what must be there or done before it."""

  name: str
  words: tuple[str, ...]
  after: tuple[str, ...] = ()  # jobs
  needs: str = ""  # a file or folder of the data folder
  late: bool = False  # it starts at the deadline, if not before


class Crew:
  """Runs jobs, at most so many at a time."""

  def __init__(self, arguments):
    self.arguments = arguments
    self.root = Path(arguments.workdir).resolve()
    self.data = Path(os.environ.get("CVAE_JAX_DATA", "data"))
    self.running: dict[str, subprocess.Popen] = {}
    self.ended: dict[str, int] = {}
    self.begun: dict[str, float] = {}
    (self.root / "logs").mkdir(parents=True, exist_ok=True)

  def may_start(self, job: Job, late: bool) -> bool:
    """Tell whether a job's turn has come."""
    if job.name in self.running or job.name in self.ended:
      return False
    if job.late and late:
      return True
    if late or any(self.ended.get(name) != 0 for name in job.after):
      return False
    return not job.needs or (self.data / job.needs).exists()

  def start(self, job: Job) -> None:
    """Start a job with a log of its own."""
    words = [word.replace("@", str(self.root)) for word in job.words]
    if words[0] == "launch.train":
      words += self.arguments.words
    log = self.root / "logs" / (job.name.replace("/", "_") + ".log")
    with log.open("ab") as file:
      self.running[job.name] = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=HERE,
        stdout=file,
        stderr=subprocess.STDOUT,
      )
    self.begun[job.name] = time.monotonic()

  def collect(self) -> None:
    """Note what ended, and say so."""
    for name, process in list(self.running.items()):
      if (code := process.poll()) is not None:
        del self.running[name]
        self.ended[name] = code
        taken = time.monotonic() - self.begun[name]
        print(f"{name}: exit {code} after {taken:.0f} s", flush=True)

  def stop(self, patience: float = 25.0) -> None:
    """Have what runs save and end; kill what does not in time."""
    for process in self.running.values():
      process.send_signal(signal.SIGTERM)
    end = time.monotonic() + patience
    while self.running and time.monotonic() < end:
      time.sleep(0.2)
      self.collect()
    for process in self.running.values():
      process.kill()
