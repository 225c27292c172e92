"""A study: trials in a SQLite file, each claimed by one process at a time.

A trial is a run in a folder of its own, <workdir>/0007. The process that works
on it holds a lock, which ends with the process. If the file says that a trial
is running and no process holds it, its process was killed. The next process
takes the trial, and its run goes on from its checkpoint. The values of trial n
are a function of the seed, n and the trials before it, whatever was killed.
"""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cvae_jax.apps.tuning import plans
from cvae_jax.apps.tuning.space import Space
from cvae_jax.host import lock
from cvae_jax.host.console import say
from cvae_jax.host.files import read_json, write_atomically
from cvae_jax.settings import ConfigError

FILE = "study.db"
PRUNED = "PRUNED"  # in a trial's folder: why it ended early
_HIDDEN = ".tune"  # holds the locks
_LONG = 5  # seconds after which a wait is reported
_STARTUP = 5  # trials that must be completed before one is pruned


def optuna() -> Any:
  """Return the module, quiet.

  Raises:
    ConfigError: it is not installed.
  """
  try:
    import optuna
  except ImportError:
    raise ConfigError(
      'a search needs Optuna: pip install "cvae_jax[tune]"'
    ) from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


class Claim(NamedTuple):
  """A trial that this process works on."""

  trial: Any  # Optuna's
  folder: Path  # of its run
  values: Mapping[str, Any]  # {dotted key: value}
  resumed: bool  # it was left by another process


class Study:
  """One search; several processes may work on the same folder."""

  def __init__(self, folder: Path, plan: Mapping[str, Any]):
    """Begin a study or go on with it.

    Args:
      folder: of the study's file and its trials.
      plan: as plans.plan returns it; but for the command it may not change.

    Raises:
      ConfigError: the folder holds a study of another plan with finished
        trials.
    """
    self._optuna = optuna()
    self.folder = Path(folder)
    self.plan = plan
    plans.check_folder(self.folder)
    with self._lock_choice(), plans.explain_errors(self.folder / FILE):
      self._study = self._open()

  @property
  def trials(self) -> list[Any]:
    """Return all trials as the file has them now."""
    return self._study.get_trials(deepcopy=False)

  @property
  def best(self) -> Any:
    """Return the best finished trial, None where none is finished."""
    done = self._trials_in("COMPLETE")
    sign = 1 if self.plan["direction"] == "min" else -1
    return min(done, key=lambda trial: sign * trial.value, default=None)

  @property
  def inner(self) -> Any:
    """Return Optuna's study."""
    return self._study

  def run_folder(self, trial: Any) -> Path:
    """Return the folder of a trial's run."""
    return self.folder / f"{trial.number:04d}"

  @contextlib.contextmanager
  def claim(self, space: Space, count: int) -> Iterator[Claim | None]:
    """Hold a trial: one that a kill left, else a new one up to `count`.

    It is None if there are `count` trials and none of them is left over.
    """
    with contextlib.ExitStack() as held:
      with self._lock_choice():
        trial = self._hold_abandoned(held)
        resumed = True
        if trial is None and len(self.trials) < count:
          trial = self._ask(held)
          resumed = False
        if trial is not None:
          self._seed_sampler(trial.number)
          values = dict(space(trial))
      if trial is None:
        yield None
      else:
        yield Claim(trial, self.run_folder(trial), values, resumed)

  def finish(self, claim: Claim, value: float) -> None:
    """Note a trial's value."""
    self._study.tell(claim.trial, value)

  def prune(self, claim: Claim, epoch: int) -> None:
    """Note that a trial fell behind, in its folder first."""
    self._end(
      claim,
      f"ended after epoch {epoch}: {self.plan['metric']} was worse than the "
      "median of the trials before it",
    )

  def give_up(self, claim: Claim, why: str) -> None:
    """Note that a trial diverged. Later trials keep away from its values."""
    claim.trial.set_user_attr("why", why)
    self._end(claim, why)

  def _end(self, claim: Claim, why: str) -> None:
    write_atomically(claim.folder / PRUNED, f"{why}\n")
    self.prune_again(claim)

  def prune_again(self, claim: Claim) -> None:
    """Note what a trial's folder says already."""
    state = self._optuna.trial.TrialState.PRUNED
    self._study.tell(claim.trial, state=state)

  def fail(self, claim: Claim, why: str) -> None:
    """Note that a trial could not be trained."""
    claim.trial.set_user_attr("why", why)
    state = self._optuna.trial.TrialState.FAIL
    self._study.tell(claim.trial, state=state)

  def should_prune(self, claim: Claim, epoch: int, value: float) -> bool:
    """Note the evaluation after an epoch; tell whether to end the trial."""
    seen = self.trials[claim.trial.number]
    if epoch not in seen.intermediate_values and np.isfinite(value):
      claim.trial.report(value, epoch)
    return claim.trial.should_prune()

  def _open(self) -> Any:
    """Open the study's file; one without a finished trial is begun anew."""
    path = self.folder / plans.FILE
    storage = self._optuna.storages.RDBStorage(
      f"sqlite:///{(self.folder / FILE).absolute()}",
      engine_kwargs={"connect_args": {"timeout": 60}},
    )
    names = self._optuna.study.get_all_study_names(storage)
    plan = json.loads(json.dumps(self.plan))
    if names and path.exists():
      old = read_json(path, dict, "bring a copy of it back")
      held = plan.keys() - {"command"}
      if differing := sorted(k for k in held if plan[k] != old.get(k)):
        done = self._optuna.load_study(study_name=names[0], storage=storage)
        if any(trial.state.is_finished() for trial in done.get_trials()):
          raise ConfigError(
            plans.describe_difference(self.folder, differing, old, plan)
          )
        with contextlib.ExitStack() as held:
          for trial in done.get_trials():  # in use: nothing is changed
            held.enter_context(self._hold(trial.number))
          if not plans.RUNS.isdisjoint(differing):
            plans.set_aside(map(self.run_folder, done.get_trials()))
          self._optuna.delete_study(study_name=names[0], storage=storage)
    write_atomically(path, json.dumps(plan, indent=2) + "\n")
    directions = {"min": "minimize", "max": "maximize"}
    return self._optuna.create_study(
      study_name="tune",
      storage=storage,
      direction=directions[self.plan["direction"]],
      pruner=self._pruner(),
      load_if_exists=True,
    )

  def _pruner(self) -> Any:
    if self.plan["pruner"] == "none":
      return self._optuna.pruners.NopPruner()
    return self._optuna.pruners.MedianPruner(n_startup_trials=_STARTUP)

  def _seed_sampler(self, number: int) -> None:
    """Seed the sampler by the study's seed and the trial's number."""
    seed = np.random.SeedSequence([self.plan["seed"], number])
    self._study.sampler = self._optuna.samplers.TPESampler(
      seed=int(seed.generate_state(1)[0])
    )

  def _ask(self, held: contextlib.ExitStack) -> Any:
    """Begin a trial and hold it."""
    self._seed_sampler(len(self.trials))
    trial = self._study.ask()
    held.enter_context(self._hold(trial.number))
    return trial

  def _hold_abandoned(self, held: contextlib.ExitStack) -> Any:
    """Hold a running trial that no process holds; None if there is none."""
    for found in self._trials_in("RUNNING"):
      with contextlib.suppress(lock.FolderInUse):
        held.enter_context(self._hold(found.number))
        return self._optuna.trial.Trial(self._study, found._trial_id)
    return None

  def _trials_in(self, state: str) -> list[Any]:
    return [trial for trial in self.trials if trial.state.name == state]

  def _hold(self, number: int) -> contextlib.AbstractContextManager:
    return lock.hold(self.folder / _HIDDEN / f"{number:04d}", "tuning")

  @contextlib.contextmanager
  def _lock_choice(self) -> Iterator[None]:
    """Let no other process choose a trial meanwhile; wait if one does."""
    choice = self.folder / _HIDDEN / "study"
    begun = time.monotonic()
    told = False
    while True:
      with contextlib.ExitStack() as held:
        try:
          held.enter_context(lock.hold(choice, "choosing"))
        except lock.FolderInUse as error:
          if not told and time.monotonic() > begun + _LONG:
            say(f"waiting: {error}")
            told = True
          time.sleep(0.05)
          continue
        with warnings.catch_warnings():
          warnings.simplefilter("ignore")  # Optuna's, of experimental parts
          yield
        return
