"""Trackio: its files are where TRACKIO_DIR says; TRACKIO_PROJECT or cvae_jax.

`trackio show` shows them.
"""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cvae_jax.loop import trackers


class Writer:
  """Shows a run in Trackio, on this machine."""

  def start(self, begun: trackers.Begun) -> str:
    """Begin a run there, or go on with the one of the name that is known."""
    import trackio

    self._trackio = trackio
    name = begun.known or f"{begun.folder.name}-{secrets.token_hex(3)}"
    self._run = trackio.init(
      project=os.environ.get("TRACKIO_PROJECT", "cvae_jax"),
      name=name,
      config=dict(begun.config),
      resume="allow" if begun.known else "never",
      embed=False,
      auto_log_gpu=False,
      auto_log_cpu=False,
    )
    return name

  def row(self, row: Mapping[str, Any]) -> None:
    """Log a row's numbers at its step."""
    self._run.log(trackers.metrics(row), step=row["step"])

  def picture(self, name: str, step: int, picture: NDArray) -> None:
    """Log a sample grid."""
    image = self._trackio.Image(trackers.drawable(picture))
    self._run.log({f"samples/{name}": image}, step=step)

  def close(self, done: bool) -> None:
    """Write what is left."""
    self._run.finish()
