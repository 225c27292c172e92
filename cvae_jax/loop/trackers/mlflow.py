"""MLflow: MLFLOW_TRACKING_URI, or the folder mlruns here; experiment cvae_jax.

MLFLOW_EXPERIMENT_NAME names another one.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cvae_jax.loop import trackers
from cvae_jax.settings import leaves

_LONGEST = 500  # signs of a parameter's value
_AT_ONCE = 100  # parameters in a call


class Writer:
  """Shows a run in MLflow, by its client, without global state."""

  def start(self, begun: trackers.Begun) -> str:
    """Begin a run there, or go on with the one of the name that is known."""
    from mlflow import MlflowClient, entities

    self._entities = entities
    local = Path("mlruns").absolute().as_uri()
    where = os.environ.get("MLFLOW_TRACKING_URI", local)
    if where == local:  # MLflow wants a confirmation that a folder is meant
      os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    self._client = MlflowClient(tracking_uri=where)
    if begun.known:
      self._run = begun.known
      self._client.update_run(self._run, status="RUNNING")
      return self._run
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "cvae_jax")
    found = self._client.get_experiment_by_name(name)
    experiment = (
      found.experiment_id if found else self._client.create_experiment(name)
    )
    run = self._client.create_run(experiment, run_name=begun.folder.name)
    self._run = run.info.run_id
    params = [
      entities.Param(key, str(value)[:_LONGEST])
      for key, value in leaves(begun.config)
    ]
    for first in range(0, len(params), _AT_ONCE):
      part = params[first : first + _AT_ONCE]
      self._client.log_batch(self._run, params=part)
    return self._run

  def row(self, row: Mapping[str, Any]) -> None:
    """Log a row's numbers at its step."""
    now = int(time.time() * 1000)
    found = [
      self._entities.Metric(name, float(value), now, row["step"])
      for name, value in trackers.metrics(row).items()
    ]
    self._client.log_batch(self._run, metrics=found)

  def picture(self, name: str, step: int, picture: NDArray) -> None:
    """Log a sample grid as an artifact."""
    path = f"samples/{step:06d}_{name}.png"
    self._client.log_image(self._run, trackers.drawable(picture), path)

  def close(self, done: bool) -> None:
    """Note how the run has ended."""
    status = "FINISHED" if done else "KILLED"
    self._client.set_terminated(self._run, status)
