"""Progress for a person: a live bar on a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console as RichConsole
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)


class Console:
  """Shows steps, loss, examples/s and the time left."""

  def __init__(self, steps: int, batch_size: int, start: int):
    self.steps, self.batch_size = steps, batch_size
    self._begun, self._start = time.monotonic(), start
    self._timed = False
    self._bar = None
    if sys.stdout.isatty():
      self._bar = Progress(
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=RichConsole(),
      )
      self._task = self._bar.add_task("", total=steps, completed=start, note="")
      self._bar.start()

  def rate(self, step: int) -> float:
    """Gives examples per second since the first step, compilation apart."""
    seconds = max(time.monotonic() - self._begun, 1e-9)
    return (step - self._start) * self.batch_size / seconds

  def step(self, step: int, loss: float) -> None:
    """Moves the bar; the first call starts the clock of `rate`."""
    if not self._timed:
      self._timed, self._begun, self._start = True, time.monotonic(), step
    if self._bar:
      note = f"loss {loss:.4f}  {self.rate(step):.0f} examples/s"
      self._bar.update(self._task, completed=step, note=note)

  def line(self, text: str) -> None:
    """Prints a line, above the bar if there is one."""
    if self._bar:
      self._bar.console.print(text, highlight=False, markup=False)
    else:
      print(text, flush=True)

  def log(self, step: int, loss: float) -> None:
    """Prints the plain line that stands in for the bar off a terminal."""
    if self._bar is None:
      rate = self.rate(step)
      seconds = (self.steps - step) * self.batch_size / max(rate, 1e-9)
      left = _clock(seconds) if rate else "?"  # the first step has no rate
      self.line(
        f"step {step}/{self.steps}  loss {loss:.4f}  "
        f"{rate:.0f} examples/s  {left} left"
      )

  def close(self) -> None:
    """Stops the bar."""
    if self._bar:
      self._bar.stop()


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"
