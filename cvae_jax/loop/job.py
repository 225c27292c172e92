"""The parts that a run is made of: system, data on the device, length."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from cvae_jax import config as configs, data
from cvae_jax.data.files import dataset_checks
from cvae_jax.host import lookups
from cvae_jax.host.paths import local
from cvae_jax.loop import (
  arithmetic,
  batches,
  condition_dropout,
  distances,
  job_checks,
  mesh as meshes,
  network_errors,
  own_system,
  strides,
  watch,
)
from cvae_jax.loop.feed import Feed, check
from cvae_jax.loop.folder.run_conditions import attribute_columns
from cvae_jax.loop.folder.run_data import mean
from cvae_jax.types import Facts, System, TrainState

STEPS = 2**31  # TrainState.step is an int32


class Job(NamedTuple):
  """What the loop needs and training does not change."""

  config: ConfigDict
  system: System
  train: Feed
  test: Feed | None
  # The rows that watch the training. Without them `test` does.
  valid: Feed | None
  conditions: Any  # the data source's own
  epoch_steps: int
  steps: int  # in all
  identity: dict[str, Any]  # identifies the data: data.json
  options: dict[str, str]  # XLA's, for the program of the updates
  mesh: meshes.Mesh = meshes.ONE  # the devices that share a batch
  stride: int = 1  # updates in a dispatch

  @property
  def watched(self) -> Feed | None:
    """Return the rows by which training is watched."""
    return self.valid or self.test

  def rows(self, step: int) -> np.ndarray:
    """Return the row numbers [B] that update `step` trains on."""
    seed = self.config.seed
    size = self.config.batch_size
    return batches.rows_at(seed, step, self.train.rows, size)

  def schedules(self, step: int) -> dict[str, float]:
    """Return the schedules' values in the update that led to `step`."""
    return {
      f"schedule/{name}": float(
        schedule(step - 1) if callable(schedule) else schedule
      )
      for name, schedule in self.system.schedules.items()
    }

  def summary(self, state: TrainState) -> str:
    """Describe in a few lines what is about to train."""
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    together = f"{self.stride} at a time, " if self.stride > 1 else ""
    return "\n".join(
      [
        f"{self.config.system}: {size:,} parameters, {self.train.rows:,} "
        f"examples, {self.steps:,} steps of {self.config.batch_size} from "
        f"{state.step}, {together}on {self._devices()}",
        *self.system.notes,
        *job_checks.cautions(self.config, self.epoch_steps, self.steps),
      ]
    )

  def _devices(self) -> str:
    """Name the devices that are used, and those that are not."""
    first = jax.devices()[0]
    size = self.mesh.size
    there = jax.device_count()
    said = str(first)
    if size > 1:
      said = f"{size} devices ({first.device_kind}) with a part of each batch"
    if size < there:
      said += f" ({size} of {there} devices: --config.mesh=0 uses all)"
    return said


def prepare(
  config: ConfigDict,
  check_data: bool = False,
  given: Iterable[str] = (),
  *,
  system=None,
  dataset: data.Dataset | None = None,
) -> Job:
  """Make the system and bring its data to the device.

  Args:
    config: what is asked for.
    check_data: read all images of a prepared set, not only sampled blocks.
    given: the dotted keys that the user has set by hand.
    system: a System, or make(config, facts), instead of the config's.
    dataset: data instead of the config's.

  Raises:
    ValueError: the data do not fit the config, or a number makes no sense.
  """
  with lookups.explain_errors(config):
    job_checks.check(config, used=system is None, given=given)
    if dataset is None:
      dataset = _load(config.data)
    else:
      dataset = data.binarise(dataset, config.data)
    dataset_checks.check(dataset)
    facts = _facts(config, dataset)
    own = system is not None or "." in config.system
    with network_errors.explain(config):
      system = configs.resolve(config, facts, system=system)
      if own:
        system = own_system.check(config, system, dataset.train)
    job_checks.check_labels(config, system)
    job_checks.check_target(config, dataset)
    system, options = arithmetic.apply(config, system)
  if rate := config.data.get("condition_dropout", 0.0):
    system = condition_dropout.drop_attributes(
      system, condition_dropout.attribute_masks(dataset.conditions), rate
    )
  mesh = meshes.from_config(config)
  feeds = _make_feeds(dataset, system, mesh)
  _check_watched(config, system, feeds["valid"] or feeds["test"])
  epoch_steps, steps = _count_steps(config, feeds["train"].rows)
  return Job(
    config=config,
    system=system,
    **feeds,
    conditions=dataset.conditions,
    epoch_steps=epoch_steps,
    steps=steps,
    identity=dataset.identity(check_data),
    options=options,
    mesh=mesh,
    stride=strides.choose(config, system, epoch_steps),
  )


def _make_feeds(
  dataset: data.Dataset, system: System, mesh: meshes.Mesh
) -> dict[str, Feed | None]:
  """Return the feed of each split; None where the data have no such split."""
  splits = {
    "train": dataset.train,
    "test": dataset.test,
    "valid": dataset.valid,
  }
  return {
    split: columns and Feed(check(columns, system.columns), mesh=mesh)
    for split, columns in splits.items()
  }


def _check_watched(
  config: ConfigDict, system: System, watched: Feed | None
) -> None:
  """Check that the metrics by which training is watched can be measured.

  Raises:
    ConfigError: one is unknown, or needs rows that there are not.
  """
  distances.check(config, system, watched)
  if any(config[group].metric for group in watch.RULES):
    with network_errors.explain(config):
      names = job_checks.metric_names(config, system, watched)
      job_checks.check_rules(config, names)


def _count_steps(config: ConfigDict, rows: int) -> tuple[int, int]:
  """Return the steps of an epoch and of the run.

  Raises:
    ConfigError: they are too many.
  """
  epoch_steps = batches.steps_per_epoch(rows, config.batch_size)
  steps = config.epochs * epoch_steps
  if steps >= STEPS:
    raise configs.ConfigError(
      f"epochs={config.epochs} are {steps} steps; expected fewer than {STEPS}, "
      "which a state can count"
    )
  return epoch_steps, steps


def _load(config: ConfigDict) -> data.Dataset:
  """Load the data; the error of a path that is gone says how to name it."""
  try:
    return data.load(config)
  except data.DataError as error:
    path = config.get("path", "")
    if not path or local(path, "config.data.path").exists():
      raise
    raise data.DataError(
      f"{error}. If the data are elsewhere: --config.data.path=PATH"
    ) from error


def _facts(config: ConfigDict, dataset: data.Dataset) -> Facts:
  """Return the facts of the data, after a comparison with the config.

  Raises:
    ConfigError: the config states another shape or number of conditions.
  """
  shapes = {n: tuple(c.shape[1:]) for n, c in dataset.train.items()}
  known = (
    attribute_columns(dataset.conditions),
    mean(dataset.train.get("image")),
  )
  facts = Facts(shapes, len(next(iter(dataset.train.values()))), *known)
  stated = {
    "image_shape": shapes.get("image"),
    "conditions": facts.condition_size if "condition" in shapes else None,
  }
  for key, found in stated.items():
    value = config.data.get(key)
    value = tuple(value) if key == "image_shape" and value else value
    if isinstance(value, str):  # names of attributes, not their number
      continue
    if None not in (value, found) and value != found:
      raise configs.ConfigError(
        f"config.data.{key} is {value}, the data have {found}; change it, or "
        "prepare the data so"
      )
  return facts
