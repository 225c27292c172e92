"""Check whether a folder's run is the one that is asked for."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cvae_jax.data.files import identity as identities
from cvae_jax.loop.folder import checkpoint_names, fixed
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.integrity import CheckpointError, Damaged
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.loop.watch import Watch

Rows = Sequence[Mapping[str, Any]]


def is_untouched(folder: Path, rows: Rows) -> bool:
  """Tell whether the folder's run never saved a step nor wrote a row.

  In such a folder any config may begin a run.
  """
  return not (
    rows
    or (folder / "DONE").exists()
    or checkpoint_names.has_checkpoint(folder)
  )


def check_checkpoints(folder: Path, rows: Rows, every: int) -> None:
  """Refuse to begin a run anew if its checkpoints have vanished.

  A run that was killed before its first save also has rows and no checkpoint.
  It may begin again, and writes the same rows. The two cases differ in the
  number of steps: a save waits for the previous one, so a run that has passed
  two saves has had a checkpoint.

  Args:
    folder: the run's.
    rows: those of its metrics.jsonl.
    every: how many steps apart checkpoints are saved.

  Raises:
    RunMismatch: the folder had checkpoints and has none.
  """
  if checkpoint_names.has_checkpoint(folder):
    return
  last = max((row["step"] for row in rows), default=0)
  if (folder / "DONE").exists() or last > 2 * every:
    raise RunMismatch(
      f"{folder} holds a run that came to step {last} or further, and "
      "its checkpoints are gone; bring them back, use another --workdir, or "
      "delete DONE and metrics.jsonl there to begin it anew"
    )


def check_config(
  config: ConfigDict, counters: dict[str, Any], where: Path
) -> None:
  """Compare a config with the one that a checkpoint was made with.

  Older checkpoints do not hold it. Keys that were added later and keys that may
  change are not compared.

  Raises:
    CheckpointError: a key that may not change has another value.
  """
  before = counters.get("config")
  if before is None:
    return
  today = fixed.values(config)
  differing = [
    f"{key}: {value!r} → {today.get(key)!r}"
    for key, value in before.items()
    if value != today.get(key) and not fixed.is_free(key)
  ]
  if differing:
    raise CheckpointError(
      f"checkpoint {where} was made with another config than this run's "
      "config.json; bring the one back that it was made with. Differing "
      "keys:\n  " + "\n  ".join(differing)
    )


def check_length(step: int, steps: int, folder: Path) -> None:
  """Check that a run that goes on is not past its end.

  Raises:
    RunMismatch: it is; it would be called finished with steps too many.
  """
  if step > steps:
    raise RunMismatch(
      f"{folder}: the run is at step {step}, and its epochs would end at step "
      f"{steps}; give more epochs, or begin anew in another --workdir"
    )


def check_latest(config: ConfigDict, checkpoints: Checkpoints) -> None:
  """Compare a config.json with the newest checkpoint's before it is used.

  A checkpoint that cannot be read is no error here, only when it is restored.

  Raises:
    CheckpointError: a key that may not change has another value.
  """
  step = checkpoints.latest()
  if step is None:
    return
  with contextlib.suppress(Damaged):
    counters = checkpoints.counters(step)
    check_config(config, counters, checkpoints.folder / str(step))


def check_loop(
  config: ConfigDict, counters: dict[str, Any], where: Path
) -> None:
  """Check that counters are what the loop saves, of any release.

  Raises:
    Damaged: something is missing or of another kind.
  """
  try:
    sums = counters["sums"]
    for name in ("window", "epoch"):
      sums[name]["count"] + 0
      sums[name]["sums"].items()
    Watch(config, counters.get("watch"))
    counters.get("elapsed", 0.0) + counters.get("rows", 0)
  except (KeyError, TypeError, AttributeError) as error:
    raise Damaged(
      f"checkpoint {where} is damaged: its counters lack something or are of "
      f"another kind ({type(error).__name__}: {error})"
    ) from None


def check_identity(
  identity: Mapping[str, Any] | None, counters: dict[str, Any], where: Path
) -> None:
  """Compare today's data with those that a checkpoint was trained on.

  Older checkpoints do not hold them.

  Raises:
    CheckpointError: they are others; what differs is named.
  """
  before = counters.get("data")
  if before is None or identity is None:
    return
  if differing := identities.differences(before, identity):
    raise CheckpointError(
      f"checkpoint {where} was trained on other data: {'; '.join(differing)}. "
      "Bring the old data or the run's own checkpoints back, or use another "
      "--workdir"
    )
