"""Train a study's trials one after another, and note the value of each."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax import runs
from cvae_jax.apps.tuning import results, space as spaces
from cvae_jax.apps.tuning.study import PRUNED, Claim, Study
from cvae_jax.data import DataError
from cvae_jax.host.console import say
from cvae_jax.host.files import DamagedFile
from cvae_jax.host.lock import FolderInUse
from cvae_jax.host.paths import PathError
from cvae_jax.loop.folder.integrity import CheckpointError
from cvae_jax.loop.folder.rows import read_metrics
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.loop.trackers import Begun, Stop
from cvae_jax.measures import score
from cvae_jax.settings import ConfigError, hint, leaves

SCORE = "score."  # begins the name of a figure of measures.score
IN_A_ROW = 3  # failed trials that end a search
# Errors of the folder or the data, not of a trial's values.
_NOT_ITS_OWN = (
  *(CheckpointError, DamagedFile, DataError, FolderInUse, PathError),
  RunMismatch,
)
_ITS_OWN = (ValueError, TypeError, MemoryError)


class NoMetricError(ConfigError):
  """Says which metrics a run has."""


def search(
  study: Study,
  config: ConfigDict,
  space: spaces.Space,
  count: int,
  train: Callable[..., Any],
) -> None:
  """Train trials until the study has `count`, or all that are left.

  Args:
    study: where they are noted.
    config: of the page, before a trial's values.
    space: (trial) -> {dotted key: value}.
    count: of the study's trials in all.
    train: train_and_evaluate.

  Raises:
    NoMetricError: a run has no such metric.
    ConfigError: trial after trial failed.
  """
  failed = 0
  while True:
    with study.claim(space, count) as claim:
      if claim is None:
        return
      _announce(claim)
      why = _try(study, config, claim, train)
    results.save(study)
    failed = failed + 1 if why else 0
    if failed == IN_A_ROW:
      raise ConfigError(f"{failed} trials in a row failed; the last: {why}")


def _announce(claim: Claim) -> None:
  values = ", ".join(f"{key}={_short(v)}" for key, v in claim.values.items())
  again = " (goes on)" if claim.resumed else ""
  say(f"== trial {claim.trial.number}{again}: {values}")


def _short(value: Any) -> str:
  return f"{value:.4g}" if isinstance(value, float) else str(value)


def _try(study: Study, config: ConfigDict, claim: Claim, train) -> str | None:
  """Train and note one trial; return why it failed, if it did."""
  number = claim.trial.number
  if (claim.folder / PRUNED).exists():
    study.prune_again(claim)
    return None
  watch = _Watch(study, claim, config.epochs)
  try:
    own = spaces.apply_values(config, claim.values)
    watch.epochs = own.epochs
    state = train(own, claim.folder, trackers=(watch,))
    value = measure_trial(claim.folder, int(state.step), study.plan["metric"])
  except Stop:
    if watch.error:
      raise watch.error from None
    study.prune(claim, watch.epoch)
    say(f"== trial {number}: pruned after epoch {watch.epoch}")
    return None
  except (NoMetricError, *_NOT_ITS_OWN):
    raise
  except FloatingPointError as error:
    _give_up(study, claim, " ".join(str(error).split())[:500])
    return None
  except (*_ITS_OWN, jax.errors.JaxRuntimeError) as error:
    why = " ".join(str(error).split())[:500]
    study.fail(claim, why)
    say(f"== trial {number}: failed: {why}")
    return why
  if not np.isfinite(value):
    _give_up(study, claim, f"{study.plan['metric']} is {value}")
    return None
  study.finish(claim, value)
  say(f"== trial {number}: {study.plan['metric']} {value:.6g}")
  return None


def _give_up(study: Study, claim: Claim, why: str) -> None:
  study.give_up(claim, why)
  say(f"== trial {claim.trial.number}: diverged: {why}")


def measure_trial(folder: Path, step: int, metric: str) -> float:
  """Return the value of a finished run by a metric.

  It is the metric of the state that the run hands out, evaluated on the valid
  rows if the data have some, else on the test rows. "score.NAME" is a figure of
  measures.score, which is computed now.

  Raises:
    NoMetricError: the run has none of that name.
  """
  if metric.startswith(SCORE):
    found = dict(leaves(score.score(runs.load(folder))))
    return _get_number(found, metric.removeprefix(SCORE), SCORE)
  rows = read_metrics(folder)
  watched = [row for row in rows if row["split"] == "valid"]
  watched = watched or [row for row in rows if row["split"] == "test"]
  if not watched:
    raise NoMetricError(
      f"{folder}: its data have no test or valid rows to be judged by"
    )
  at = [row for row in watched if row["step"] == step]
  return _get_number((at or watched)[-1], metric)


def _get_number(
  found: Mapping[str, Any], metric: str, prefix: str = ""
) -> float:
  """Return a number by its name.

  Raises:
    NoMetricError: there is none.
  """
  numbers = {
    name: value
    for name, value in found.items()
    if isinstance(value, int | float) and name not in ("step", "epoch")
  }
  if metric not in numbers:
    raise NoMetricError(
      f"--metric={prefix}{metric}: a run has no such "
      f"{'score' if prefix else 'metric'}{hint(metric, numbers)}"
    )
  return float(numbers[metric])


class _Watch:
  """Shows a study the evaluations of a trial; ends one that falls behind."""

  def __init__(self, study: Study, claim: Claim, epochs: int):
    self.epochs = epochs
    self.epoch = 0
    self.error: NoMetricError | None = None
    self._study = study
    self._claim = claim
    self._split: str | None = None  # valid, if there are such rows

  def start(self, begun: Begun) -> None:
    """Do nothing: a study has no name of its own for the run."""

  def row(self, row: Mapping[str, Any]) -> None:
    """Note an evaluation.

    Raises:
      Stop: the trial is not worth going on, or has no such metric.
    """
    metric = self._study.plan["metric"]
    if row["split"] not in ("valid", "test") or metric.startswith(SCORE):
      return
    self._split = self._split or row["split"]
    if row["split"] != self._split:
      return
    self.epoch = round(row["epoch"])
    try:
      value = _get_number(row, metric)
    except NoMetricError as error:
      self.error = error
      raise Stop from None
    hopeless = self._study.should_prune(self._claim, self.epoch, value)
    if hopeless and self.epoch < self.epochs:
      raise Stop

  def picture(self, name: str, step: int, picture: NDArray) -> None:
    """Do nothing: pictures are in the run's folder."""

  def close(self, done: bool) -> None:
    """Do nothing: no file is open."""
