"""A run's events for TensorBoard, which a training does not depend on.

The same numbers are in metrics.jsonl. If events cannot be written, as on a full
disk, they end with one warning and the training goes on. The caller's thread
writes them. tensorboardX's SummaryWriter has a thread of its own, and a call
waits for ever if that thread has died.
"""

import contextlib
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.console import say

_FLUSHED_EVERY = 120  # seconds, as tensorboardX does


class Events:
  """Writes one events file; never raises an OSError."""

  def __init__(self, folder: Path, first: int):
    """Begin a file in `folder`, which takes back events from step `first`."""
    self._writer = None
    self._folder = folder
    self._due = time.monotonic() + _FLUSHED_EVERY
    with self._given_up(), _hide_torch():
      from tensorboardX import record_writer, summary
      from tensorboardX.proto import event_pb2

      self._event = event_pb2.Event
      self._summary = summary
      name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
      # An absolute path: "s3:x" would be taken for a bucket.
      self._writer = record_writer.RecordWriter(str(folder.absolute() / name))
      self._add(file_version="brain.Event:2")
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._add(session_log=start, step=first)

  def scalar(self, name: str, value: float, step: int) -> None:
    """Add a number."""
    self._later(lambda: self._summary.scalar(_tag(name), value), step)

  def image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
    """Add a picture [H, W, C]."""
    self._later(
      lambda: self._summary.image(_tag(name), picture, dataformats="HWC"),
      step,
    )

  def flush(self) -> None:
    """Put what was added on the disk."""
    if self._writer:
      with self._given_up():
        self._writer.flush()
        self._due = time.monotonic() + _FLUSHED_EVERY

  def close(self) -> None:
    """Flush and close the file."""
    if self._writer:
      with self._given_up():
        self._writer.close()
      self._writer = None

  def _later(self, make: Callable, step: int) -> None:
    if self._writer:
      with self._given_up():
        self._add(summary=make(), step=step)
    if time.monotonic() > self._due:
      self.flush()

  def _add(self, **content) -> None:
    event = self._event(wall_time=time.time(), **content)
    self._writer.write(event.SerializeToString())

  @contextlib.contextmanager
  def _given_up(self) -> Iterator[None]:
    """Turn a failed write into one warning, and end the events."""
    try:
      yield
    except OSError as error:
      writer = self._writer
      self._writer = None
      with contextlib.suppress(OSError):  # closing would try to write the rest
        if writer:
          writer.close()
      say(
        f"warning: {self._folder}: events for TensorBoard cannot be written "
        f"({error.strerror or error}); training goes on without them, "
        "metrics.jsonl has the numbers"
      )


def _tag(name: str) -> str:
  """Return a name as TensorBoard takes it: a class may have blanks in its.

  tensorboardX would change it too, and log a line for each number.
  """
  return re.sub(r"[^-/\w.]", "_", name).lstrip("/")


@contextlib.contextmanager
def _hide_torch() -> Iterator[None]:
  """Keep tensorboardX from importing torch.

  tensorboardX would import it if it is installed, for a type that never occurs
  here. With None in its place that import fails, which tensorboardX allows.
  """
  absent = "torch" not in sys.modules
  if absent:
    sys.modules["torch"] = None
  try:
    yield
  finally:
    if absent:
      del sys.modules["torch"]
