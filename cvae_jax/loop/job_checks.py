"""Checks of what a run is asked for, before anything is trained."""

from collections.abc import Collection, Iterable

import jax
from ml_collections import ConfigDict

from cvae_jax import settings
from cvae_jax.data import DataError, Dataset
from cvae_jax.loop import distances
from cvae_jax.loop.watch import RULES
from cvae_jax.settings import ConfigError
from cvae_jax.types import System

COUNTS = (  # of at least 1
  "batch_size",
  "epochs",
  "log_every",
  "checkpoint_every",
  "evaluate_every_epochs",
  "keep",
)


def check_types(config: ConfigDict, dataset: Dataset | None) -> None:
  """Check that a caller hands in a config and a dataset, and no others.

  Raises:
    ConfigError: the config is of another type.
    DataError: the dataset is.
  """
  if not isinstance(config, ConfigDict):
    raise ConfigError(
      f"the config is a {type(config).__name__}; expected what config.load "
      "returns, as in config.load('digits')"
    )
  if not isinstance(dataset, Dataset | None):
    raise DataError(
      f"the dataset is a {type(dataset).__name__}; expected a Dataset, as "
      "data.from_arrays(images, conditions) returns one"
    )


def check(config: ConfigDict, used: bool, given: Iterable[str]) -> None:
  """Check the settings of jax, and a config as settings.check does.

  Raises:
    ConfigError: one makes no sense or has no effect.
  """
  _check_jax()
  settings.check(config, used, given)
  _check_counts(config)


def _check_jax() -> None:
  """Check the settings of jax: under some of them nothing here can train.

  Raises:
    ConfigError: one is on.
  """
  on = {
    "JAX_ENABLE_X64": jax.config.jax_enable_x64,
    "JAX_DISABLE_JIT": jax.config.jax_disable_jit,
  }
  for name, value in on.items():
    if value:
      raise ConfigError(
        f"{name} is on; expected it off: networks and data are float32, and a "
        f"step is compiled. Unset {name}, or set it to 0"
      )


def _check_counts(config: ConfigDict) -> None:
  """Check the numbers that must not be 0: nothing would train or be kept.

  Raises:
    ConfigError: one is below 1.
  """
  if low := [f"{name}={config[name]}" for name in COUNTS if config[name] < 1]:
    raise ConfigError(
      f"found {', '.join(low)}; expected 1 or more (where 0 was to mean never, "
      "give a large number)"
    )


def check_labels(config: ConfigDict, system: System) -> None:
  """Check that a system reads the labelled images, where labels are few.

  A row's condition is then that of its labelled companion. A system that reads
  the row's image beside it would learn conditions of other images.

  Raises:
    ConfigError: it does not read them.
  """
  labels = config.data.get("labels", -1)
  if config.data.name != "digits" or labels < 0:
    return
  if "labelled_image" not in system.columns:
    raise ConfigError(
      f"config.data.labels={labels}: the system {config.system} does not use "
      "it, as it reads no labelled digits beside the others; leave it at -1"
    )


def check_rules(config: ConfigDict, names: Collection[str]) -> None:
  """Check that early stopping and plateaus can be followed.

  Args:
    config: a run's config.
    names: the metrics that its evaluations give; none without a test split.

  Raises:
    ConfigError: a rule's metric is not evaluated or a value makes no sense.
  """
  for group in RULES:
    rule = config[group]
    if not rule.metric:
      continue
    if rule.metric not in names:
      known = ", ".join(sorted(names)) or "none: the data have no test split"
      raise ConfigError(
        f"{group}.metric is {rule.metric!r}; expected one of {known}"
        f"{_suggest(rule.metric)}"
      )
    if rule.patience < 1 or rule.mode not in ("min", "max"):
      raise ConfigError(
        f"{group}: patience is 1 evaluation or more and mode min or max; "
        f"found {rule.patience} and {rule.mode!r}"
      )
  if not 0 < config.plateau.factor < 1:
    raise ConfigError(
      f"plateau.factor is between 0 and 1; found {config.plateau.factor}"
    )


def _suggest(metric: str) -> str:
  """Say how to evaluate a metric that only some runs have."""
  keys = {distances.SLICED: "sliced", distances.FRECHET: "frechet"}
  if metric not in keys:
    return ""
  return (
    f"; {metric} is with --config.distance.images=n, held-out images to "
    f"compare with, and a side in distance.{keys[metric]}"
  )
