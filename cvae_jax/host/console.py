"""Progress for a person: a live bar on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
import time
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)


def say(text: str, stream: TextIO | None = None) -> None:
  """Print a line, whatever became of the stream; never raise for it.

  What the stream's encoding has no sign for is replaced. A stream that is
  closed, full or without a reader is given up: what is left in its buffer
  would be an error when the interpreter ends.
  """
  stream = sys.stdout if stream is None else stream
  if stream is None:  # Python was started with it closed
    return
  try:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding, "replace")
    print(text, file=stream, flush=True)
  except (OSError, ValueError):  # a broken pipe, a full disk; closed
    abandon(stream)


def abandon(stream: TextIO) -> None:
  """Send what a broken stream still holds, and will hold, to nowhere."""
  with contextlib.suppress(OSError, ValueError):
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def secure() -> None:
  """Make this process's prints safe: encodings replace, errors are dropped.

  For commands. A stream that Python found closed becomes one to nowhere.
  """
  for name in ("stdout", "stderr"):
    stream = getattr(sys, name)
    if stream is None:
      setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, for ever
    elif hasattr(stream, "reconfigure"):
      stream.reconfigure(errors="replace")


class Console:
  """Shows steps, loss, examples/s and the time left."""

  def __init__(self, steps: int, batch_size: int, start: int):
    self.steps = steps
    self.batch_size = batch_size
    self._begun = time.monotonic()
    self._start = start
    self._timed = False
    self._bar = None
    if _is_terminal():
      self._bar = Progress(
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=RichConsole(),
      )
      self._task = self._bar.add_task("", total=steps, completed=start, note="")
      self._draw_safely(self._bar.start)

  def rate(self, step: int) -> float:
    """Return examples per second since the first step, compilation apart."""
    seconds = max(time.monotonic() - self._begun, 1e-9)
    return (step - self._start) * self.batch_size / seconds

  def step(self, step: int, loss: float) -> None:
    """Move the bar; the first call starts the clock of `rate`."""
    if not self._timed:
      self._timed = True
      self._begun = time.monotonic()
      self._start = step
    if self._bar:
      note = f"loss {loss:.4f}  {self.rate(step):.0f} examples/s"
      self._draw_safely(self._bar.update, self._task, completed=step, note=note)

  def line(self, text: str) -> None:
    """Print a line, above the bar if there is one."""
    if self._bar:
      show = self._bar.console.print
      self._draw_safely(show, text, highlight=False, markup=False)
    else:
      say(text)

  def log(self, step: int, loss: float) -> None:
    """Print the plain line that stands in for the bar off a terminal."""
    if self._bar is None:
      rate = self.rate(step)
      seconds = (self.steps - step) * self.batch_size / max(rate, 1e-9)
      left = _clock(seconds) if rate else "?"  # the first step has no rate
      self.line(
        f"step {step}/{self.steps}  loss {loss:.4f}  "
        f"{rate:.0f} examples/s  {left} left"
      )

  def close(self) -> None:
    """Stop the bar."""
    if self._bar:
      self._draw_safely(self._bar.stop)

  def _draw_safely(self, draw, *args, **words) -> None:
    """Draw on the terminal; one that is gone does not end a training."""
    try:
      draw(*args, **words)
    except (OSError, ValueError):  # UnicodeError is a ValueError
      self._bar = None
      abandon(sys.stdout)


def _is_terminal() -> bool:
  try:
    return sys.stdout is not None and sys.stdout.isatty()
  except (OSError, ValueError):
    return False


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"
