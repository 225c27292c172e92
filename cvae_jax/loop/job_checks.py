"""Checks of what a run is asked for, before anything is trained."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from cvae_jax import config as configs, settings
from cvae_jax.data import DataError, Dataset
from cvae_jax.loop import distances, watch
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
RESTING = ("cosine", "linear")  # schedules that may end at a rate of 0


def check_types(config: ConfigDict, dataset: Dataset | None) -> ConfigDict:
  """Return the config with all keys of the loop, if the types are right.

  Raises:
    ConfigError: the config is of another type, or names no system or data.
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
  return configs.complete(config)


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
    ConfigError: it does not read them, or there are none and it needs some.
  """
  labels = config.data.get("labels", -1)
  if config.data.name != "digits" or labels < 0:
    return
  if "labelled_image" not in system.columns:
    raise ConfigError(
      f"config.data.labels={labels}: the system {config.system} does not use "
      "it, as it reads no labelled digits beside the others; leave it at -1"
    )
  if system.regions and not labels:
    raise ConfigError(
      "config.data.labels=0 hides the classes whose places in the prior "
      f"model.slots={config.model.slots} teach: set model.slots=0, or give "
      "labels"
    )


def check_target(config: ConfigDict, dataset: Dataset) -> None:
  """Check that the attribute system can say the value that it is to read.

  Raises:
    ConfigError: the value lies outside [0, 1], which is all that it says.
  """
  target = tuple(config.get("columns", {}).get("target", ()))
  if config.system != "attribute" or len(target) != 1:
    return
  values = dataset.train["condition"][:, target[0]]
  low, high = float(values.min()), float(values.max())
  if low < 0 or high > 1:
    raise ConfigError(
      f"config.columns.target={target} is from {low:g} to {high:g} in the "
      "training rows, and this system reads a value from 0 to 1: bring the "
      "column into [0, 1], or train configs/judge.py"
    )


def cautions(config: ConfigDict, epoch_steps: int, steps: int) -> list[str]:
  """Warn of a run that will train nothing, or is watched in a wrong way.

  Args:
    config: the run's.
    epoch_steps: steps of an epoch.
    steps: of the run.
  """
  flat = dict(settings.leaves(config.to_dict()))
  found = []
  end = flat.get("optim.steps", 0)
  falls_to_0 = flat.get("optim.schedule") in RESTING and not flat["optim.final"]
  if falls_to_0 and end < steps:
    found.append(
      f"warning: optim.schedule={flat['optim.schedule']} is at a rate of 0 "
      f"after {end} steps, so the other {steps - end} of the run's {steps} "
      f"change no parameter. Begin a run with --config.optim.steps={steps}, or "
      "with an optim.final above 0"
    )
  for rule in watch.RULES:
    metric, mode = flat[f"{rule}.metric"], flat[f"{rule}.mode"]
    if (better := watch.MODES.get(metric, mode)) != mode:
      found.append(
        f"warning: {rule}.mode={mode} takes the worst {metric} for the best: "
        f"set --config.{rule}.mode={better}"
      )
  if (warmup := flat.get("loss.kl.warmup", 0)) > steps:
    found.append(
      f"warning: the KL's weight rises until step {warmup} and the run ends at "
      f"step {steps}: give a shorter --config.loss.kl.warmup, or more epochs"
    )
  watched = [rule for rule in watch.RULES if flat[f"{rule}.metric"] == "loss"]
  first = epoch_steps * config.evaluate_every_epochs
  if watched and (rises := _end_of_rise(flat)) > first:
    found.append(
      f"warning: the loss is watched by {' and '.join(watched)}, and its "
      f"weights change until step {rises}: it may rise while the model "
      f"improves. Watch the ELBO: --config.{watched[0]}.metric=elbo "
      f"--config.{watched[0]}.mode=max"
    )
  return found


def _end_of_rise(flat: Mapping[str, Any]) -> int:
  """Return the step from which the weights of a loss stay the same."""
  cycles = flat.get("loss.kl.cycles", 0)
  kl = flat.get("loss.kl.warmup", 0) * (2 * cycles if cycles > 1 else 1)
  return max(kl, flat.get("loss.grey_start", 0) if flat.get("loss.grey") else 0)


def metric_names(config: ConfigDict, system: System, test: Any) -> list[str]:
  """Name the metrics of an evaluation, without computing one.

  Args:
    config: the run's.
    system: its method.
    test: the Feed of the held-out rows, None without any.
  """
  if test is None:
    return []
  key = jax.random.key(0)
  batch = {
    name: jax.ShapeDtypeStruct((1, *column.shape[1:]), column.dtype)
    for name, column in test.columns.items()
  }
  state = jax.eval_shape(system.init, key)
  found = jax.eval_shape(system.evaluate, state, batch, key)
  return [*found, *distances.names(config)]


def check_rules(config: ConfigDict, names: Collection[str]) -> None:
  """Check that early stopping and plateaus can be followed.

  Args:
    config: a run's config.
    names: the metrics that its evaluations give; none without a test split.

  Raises:
    ConfigError: a rule's metric is not evaluated or a value makes no sense.
  """
  for group in watch.RULES:
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
