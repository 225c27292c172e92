"""A command as a job of a cluster calls it: a signal saves and requeues it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cvae_jax.host import children

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Order:
  """A command as a job calls it."""

  def __init__(self, words: Sequence[str], preempted: int):
    """Keep the words of a command, and its exit status after a signal."""
    self.words = tuple(words)
    self.preempted = preempted

  def __call__(self) -> int:
    """Run the command and return its exit status; after a signal, requeue."""
    heard = []
    child = None

    def note(number, frame):
      heard.append(number)
      if child and len(heard) == 1:
        child.terminate()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    child = subprocess.Popen(self.words, preexec_fn=children.end_with_parent())
    if heard:  # by a signal too early to be passed on
      child.terminate()
    code = child.wait()
    for number, handler in before.items():
      signal.signal(number, handler)
    # One may be stopped without us: Slurm signals all processes of a job.
    if code == self.preempted or (heard and code < 0):
      if signal.SIGINT not in heard and should_requeue():
        _requeue(before)
      sys.exit(self.preempted)
    return code

  def checkpoint(self) -> Any:
    """Return what the requeued job runs: the same, which resumes."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(self)


def should_requeue() -> bool:
  """Tell whether this job is to be requeued by itself.

  A job that was cancelled is not. One that Slurm has requeued is waiting.
  """
  job = os.environ.get("SLURM_JOB_ID")
  if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or not job:
    return True
  asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
  found = subprocess.run(asked, capture_output=True, text=True, check=False)
  return found.stdout.strip() in ("RUNNING", "PREEMPTED", "TIMEOUT")


def _requeue(handlers: Mapping[int, Any]) -> None:
  """Call submitit's own handler, which requeues the job and ends it."""
  for number, handler in handlers.items():
    if getattr(handler, "__name__", "") == "checkpoint_and_try_requeue":
      handler(number, None)
