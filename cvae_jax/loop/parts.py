"""The parts of the loop beside the job, and what it writes at a stop."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cvae_jax.host.console import Console
from cvae_jax.loop import idle_latents
from cvae_jax.loop.folder import fixed
from cvae_jax.loop.folder.checkpoint import CheckpointError, Checkpoints
from cvae_jax.loop.job import Job
from cvae_jax.loop.meter import Meter
from cvae_jax.loop.record import Record
from cvae_jax.loop.watch import Watch


class Parts(NamedTuple):
  """What changes during a training, beside the state."""

  job: Job
  meter: Meter
  watch: Watch
  record: Record
  console: Console
  checkpoints: Checkpoints

  def report(self, split: str, step: int, means: dict[str, float]) -> None:
    """Write a row of metrics.jsonl; print those of evaluations and epochs."""
    epoch = round(step / self.job.epoch_steps, 6)
    row = {"step": step, "split": split, "epoch": epoch, **means}
    self.record.metrics(row)
    if split == "train":
      return
    shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
    epochs = self.job.config.epochs
    self.console.line(f"{split} {round(epoch)}/{epochs}: {shown}")
    if bad := [name for name, v in means.items() if not math.isfinite(v)]:
      self.console.line(
        f"warning: {', '.join(bad)} of the {split} rows: not finite; a row of "
        "them has no such value, or divides by 0"
      )

  def warn(self, step: int, means: dict[str, float]) -> None:
    """Warn at the end of a training where its latents hold next to nothing.

    After a few steps they hold little in any run.
    """
    if step < idle_latents.YOUNG:
      return
    if text := idle_latents.caution(means):
      remedy = idle_latents.remedy(self.job.config)
      self.console.line(f"warning: {text}: {remedy}")

  def log(self, step: int) -> None:
    """Write the row of the window of steps that ends at `step`."""
    means = self.meter.take("window")
    means |= self.job.schedules(step) | self.watch.schedules()
    means["time/examples_per_second"] = self.console.rate(step)
    self.report("train", step, means)
    self.console.log(step, self.meter.loss)


def make_save(parts: Parts, counters: dict) -> Callable:
  """Build (step, state, kept) -> None, which saves rows, then a checkpoint.

  Beside the loop's counters a checkpoint holds what identifies the run: the
  config, the data and the number of rows. The checkpoint of the step `kept`
  is not deleted with the older ones.
  """
  elapsed = counters.get("elapsed", 0.0)
  begun = time.monotonic()
  config = fixed.values(parts.job.config)
  meter = parts.meter
  watch = parts.watch
  record = parts.record
  place = record.folder.stat().st_ino

  def save(step, state, kept=None):
    _check_place(record.folder, place)
    record.sync()
    own = meter.to_json() | {
      "watch": watch.to_json(),
      "elapsed": elapsed + time.monotonic() - begun,
      "config": config,
      "rows": record.rows,
      "data": parts.job.identity,
    }
    state = parts.job.mesh.to_one_device(state)
    parts.checkpoints.save(step, state, own, pinned=(watch.best_step, kept))

  return save


@contextlib.contextmanager
def close_at_end(checkpoints: Checkpoints, record: Record) -> Iterator[None]:
  """Close both; the record marks DONE last, and only if nothing has failed."""
  try:
    with contextlib.closing(checkpoints):  # waits for the last checkpoint
      yield
  except BaseException:
    record.close(done=False)
    raise
  record.close(done=True)


def _check_place(folder: Path, place: int) -> None:
  """Check that the run's folder is still the one of the training's beginning.

  Otherwise half of the run would lie in a new folder of the old name.

  Args:
    folder: the run's.
    place: its number in the file system when the training began.

  Raises:
    CheckpointError: it was moved, deleted or put in another's place.
  """
  with contextlib.suppress(OSError):
    if folder.stat().st_ino == place:
      return
  raise CheckpointError(
    f"{folder} was moved, deleted or replaced while the run trained, so "
    "nothing more is saved: bring it back, or give its new place as --workdir, "
    "and run the same command again"
  )
