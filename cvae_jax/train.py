"""The loop: every system trains, resumes and stops here."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from cvae_jax import config as configs, settings
from cvae_jax.data import Dataset
from cvae_jax.host import cpu, lock
from cvae_jax.host.console import Console, say
from cvae_jax.host.paths import folder
from cvae_jax.loop import (
  divergence,
  evaluate,
  hosts,
  network_errors,
  same_conditions,
)
from cvae_jax.loop.begin import check_disk, initial_state
from cvae_jax.loop.dispatch import describe_programs, make_advance
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.checkpoint import Checkpoints
from cvae_jax.loop.folder.restore import abstract_state, best_state
from cvae_jax.loop.folder.run_data import DATA, keep_identity, name_arrays
from cvae_jax.loop.folder.same_run import check_length
from cvae_jax.loop.job import Job, prepare
from cvae_jax.loop.job_checks import check_types
from cvae_jax.loop.meter import Meter, NonFinite
from cvae_jax.loop.parts import Parts, close_at_end, make_save
from cvae_jax.loop.record import Record
from cvae_jax.loop.stop import StopSignals
from cvae_jax.loop.trackers import Tracker
from cvae_jax.loop.watch import Watch
from cvae_jax.method import additions
from cvae_jax.types import System, TrainState


class Preempted(Exception):
  """Says that a signal stopped the run after it saved its state."""


def train_and_evaluate(
  config: ConfigDict,
  workdir: str | Path,
  *,
  system: System | Callable | None = None,
  dataset: Dataset | None = None,
  check_data: bool = False,
  trust: bool = True,
  trackers: Sequence[str | Tracker] = (),
  given: Iterable[str] = (),
) -> TrainState:
  """Train a config in a folder and return the final state.

  A finished run of the same config is not trained again. An unfinished run
  goes on from its latest checkpoint. In an empty folder the training begins
  with `config.init_from` if it is set, else from scratch. A run that early
  stopping has ended is finished, whatever `epochs` says. With
  `early_stop.restore` the best state is returned.

  Args:
    config: what config.load returns, or a ConfigDict like a page's get_config.
    workdir: the run's folder.
    system: a System, or make(config, facts) -> System, instead of the module
      that config.system names. runs.load takes the same.
    dataset: data instead of config.data's, for instance of data.from_arrays.
    check_data: read all images of a prepared set to see that none has changed.
    trust: whether the modules of dotted names in the config are imported.
    trackers: where else rows and pictures are shown: "wandb", "mlflow",
      "trackio", or a user's own objects (loop/trackers). They are not part of
      the run's config, so a run can go on with or without them.
    given: dotted keys that were set by hand and may not be without effect.

  Raises:
    ConfigError: a value of the config makes no sense, or has no use.
    DataError: the data are missing, damaged or do not fit the config.
    PathError: workdir is no folder of this machine.
    RunMismatch: workdir holds a run of another config or other data.
    FolderInUse: another process trains there.
    CheckpointError: no checkpoint is whole, or one could not be written.
    NonFinite: a loss was not finite; the state before that step is saved.
    Preempted: a signal of stop.StopSignals came; the state is saved.
    HostError: of several processes the first cannot train, or one is lost.
  """
  config = check_types(config, dataset)
  workdir = folder(workdir, "workdir")
  exports.refuse_training(workdir)
  cpu.tune_script(warn=say)
  if trust:
    configs.trust(config)
  if dataset is not None:
    config = name_arrays(config)
  job = prepare(config, check_data, given, system=system, dataset=dataset)
  with hosts.explain_errors(), network_errors.explain(job.config):
    hosts.check_same(config, job.identity)
    if not hosts.first():
      return _follow(job)
    with hosts.open_together() as tell, lock.hold(workdir, "training"):
      return _train(job, Record(workdir, trackers), tell)


def _train(job: Job, record: Record, tell: Callable) -> TrainState:
  """Train in a folder that no other process writes to."""
  config = job.config
  workdir = record.folder
  conditions = job.conditions.to_json()
  record.check(config, conditions, job.identity)
  finished = (workdir / "DONE").exists()
  read_only = finished and not os.access(workdir, os.W_OK)
  checkpoints = Checkpoints(workdir, config.keep, read_only=read_only)
  with close_at_end(checkpoints, record):
    state, counters = initial_state(
      job.system, config, checkpoints, job.identity
    )
    if not finished:
      check_length(int(state.step), job.steps, workdir)
    if not counters:  # runs that have begun may go on with older periods
      settings.check_periods(config, job.steps)
      if caution := same_conditions.caution(config, job.conditions):
        say(f"warning: {caution}")
    watch = Watch(config, counters.get("watch"))
    if finished and (watch.stopped or state.step >= job.steps):
      say(f"{workdir}: already finished at step {state.step}.")
      record.count(int(state.step), counters.get("rows", 0))
      if not (read_only or (workdir / DATA).exists()):
        keep_identity(workdir, job.identity)  # of an older run
      tell(finished=True, counters=counters)
      hosts.share(state)
    else:
      check_disk(workdir, state)
      record.start(
        config,
        conditions,
        int(state.step),
        state.params,
        rows_saved=counters.get("rows", 0),
        identity=job.identity,
        programs=describe_programs(job),
      )
      tell(finished=False, counters=counters)
      state = job.mesh.replicate(hosts.share(state))
      state = _loop(job, state, counters, watch, record, checkpoints)
    best = best_state(config, checkpoints, job.system)
    return state if best is None else best


def _follow(job: Job) -> TrainState:
  """Train beside the first process, which alone reads and writes a folder."""
  told = hosts.tell()
  state = hosts.share(abstract_state(job.system))
  if told["finished"]:
    return state
  watch = Watch(job.config, told["counters"].get("watch"))
  nobody = hosts.Nobody()
  state = job.mesh.replicate(state)
  return _loop(job, state, told["counters"], watch, nobody, nobody)


def _loop(job: Job, state, counters, watch, record, checkpoints) -> TrainState:
  """Run the updates; their order is what makes a resumed run exact.

  At a stop: metrics arrive → rows → evaluation → checkpoint. Rows are written
  before the checkpoint that counts them. After a kill between the two, the
  resumed run writes these rows again, and no row is missing. The same holds
  for what the watch concludes from an evaluation.
  """
  config = job.config
  first = int(state.step)  # read now: the first step overwrites the state
  console = hosts.Nobody()
  if hosts.first():
    console = Console(job.steps, config.batch_size, first)
  console.line(job.summary(state))
  meter = Meter(counters.get("sums"))
  stop = StopSignals()
  agreed = hosts.Agreement(job.mesh)
  parts = Parts(job, meter, watch, record, console, checkpoints)
  advance = make_advance(job)
  end_epoch = _make_end_epoch(parts)
  save = make_save(parts, counters)
  try:
    step = first
    while step < job.steps and not watch.stopped:
      start = step
      step, state, metrics = advance(start, state)
      meter.push(start, metrics)
      console.step(step, meter.loss)
      last = step == job.steps
      epoch_end = step % job.epoch_steps == 0
      logs = step % config.log_every == 0
      # Read once: a signal may come any time.
      stops = agreed(stop.asked) and not last
      saves = step % config.checkpoint_every == 0 or last or stops
      if not (logs or saves or epoch_end):
        continue
      meter.drain()
      if logs:
        parts.log(step)
      if epoch_end:
        state = end_epoch(step, state)
      if saves or watch.best_step == step or watch.stopped:
        save(step, state)
      if stops and not watch.stopped:
        raise Preempted(f"stopped by a signal; saved step {step}")
  except NonFinite as error:
    # The step that failed left the state as it was (update.make_step).
    sound = divergence.find_last_sound(checkpoints)
    save(error.step - 1, state, kept=sound)
    for note in divergence.advice(checkpoints, error.step - 1, sound, first):
      error.add_note(note)
    raise
  finally:
    stop.close()
    console.close()
  return state


def _make_end_epoch(parts: Parts) -> Callable:
  """Build (step, state) -> state: rows, evaluation, learning rates."""
  job = parts.job
  watch = parts.watch
  mean = evaluate.make_mean(job.system.evaluate)
  assess = evaluate.make_assessment(job, mean)
  final = evaluate.make_final(job, mean)
  watched = "valid" if job.valid else "test"

  def end_epoch(step: int, state: TrainState) -> TrainState:
    last = step == job.steps
    parts.report("epoch", step, parts.meter.take("epoch"))
    due = step // job.epoch_steps % job.config.evaluate_every_epochs == 0
    if not (last or due):
      return state
    means, grids = assess(state)
    parts.record.grids(step, grids)
    if means:
      parts.report(watched, step, means)
    if due:  # in a longer run, the last step might not be due
      watch.see(step, means)
      state = additions.set_factor(state, watch.factor)
    # Final figures are measured on rows that chose nothing. They belong to
    # the state that is handed out: the last one, or the best one so far.
    handed_out = last or watch.stopped or watch.best_step == step
    if handed_out and (tested := final(state)):
      parts.report("test", step, tested)
    if last or watch.stopped:
      parts.warn(step, means)
    return state

  return end_epoch
