"""Weights & Biases: WANDB_PROJECT, WANDB_MODE=offline and the rest are its own.

What it keeps on this disk is in the run's folder, under wandb/.
"""

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cvae_jax.loop import trackers


class Writer:
  """Shows a run in Weights & Biases."""

  def start(self, begun: trackers.Begun) -> str:
    """Begin a run there, or go on with the one of the name that is known."""
    import wandb

    settings = wandb.Settings(silent=True, console="off")
    self._wandb = wandb
    self._run = wandb.init(
      project=os.environ.get("WANDB_PROJECT", "cvae_jax"),
      name=begun.folder.name,
      id=begun.known,
      resume=self._resume(begun, settings),
      dir=str(begun.folder),
      config=dict(begun.config),
      reinit="create_new",
      settings=settings,
    )
    if begun.known:  # epochs, for example, may have changed
      self._run.config.update(dict(begun.config), allow_val_change=True)
    return self._run.id

  def _resume(self, begun: trackers.Begun, settings: Any) -> str | None:
    """Return how to go on; offline parts are joined when they are synced."""
    offline = os.environ.get("WANDB_MODE", settings.mode) in _OFFLINE
    return "allow" if begun.known and not offline else None

  def row(self, row: Mapping[str, Any]) -> None:
    """Log a row's numbers at its step."""
    self._run.log(trackers.metrics(row), step=row["step"])

  def picture(self, name: str, step: int, picture: NDArray) -> None:
    """Log a sample grid."""
    image = self._wandb.Image(trackers.drawable(picture))
    self._run.log({f"samples/{name}": image}, step=step)

  def close(self, done: bool) -> None:
    """Send what is left."""
    self._run.finish(exit_code=0 if done else 1)


_OFFLINE = ("offline", "dryrun", "disabled")
