"""Trainings as jobs of a Slurm cluster, by the package submitit.

A job runs one command in a process of its own. A signal lets that process save
and end; then the job is requeued, and the same command goes on. `local` stands
for a cluster: the jobs are processes of this machine.
"""

import json
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cvae_jax.host.console import say
from cvae_jax.host.files import write_atomically
from cvae_jax.host.slurm_job import Order
from cvae_jax.host.slurm_options import Options, SlurmError, submitit

FOLDER = "slurm"  # below a sweep's: what the jobs print
_JOBS = "jobs.json"  # there: which job trains what
_PAUSE = {"slurm": 2.0, "local": 0.1}  # seconds between looks at the jobs
_LOCAL = {
  "time": "timeout_min",
  "ntasks_per_node": "tasks_per_node",
  "gpus_per_node": "gpus_per_node",
  "signal_delay_s": "signal_delay_s",
}


def run(
  orders: Mapping[str, Order], asked: Options, folder: Path
) -> tuple[dict[str, str], bool]:
  """Submit commands and wait for them: ({name: why it failed}, stopped).

  A job that an earlier call submitted and that has not ended is waited for and
  not submitted again. SIGTERM or Ctrl-C end the wait. Jobs of Slurm go on
  then, those of this machine save and end.

  Args:
    orders: commands by name.
    asked: how to submit them.
    folder: of the sweep.

  Raises:
    SlurmError: the cluster does not take them.
  """
  stopped = []
  before = {
    number: signal.signal(number, lambda *_: stopped.append(1))
    for number in (signal.SIGTERM, signal.SIGINT)
  }
  try:
    jobs, failed, left = _wait(orders, asked, folder / FOLDER, stopped)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
  ids = " ".join(jobs[name].job_id for name in left)
  if left and asked.cluster == "slurm":
    say(f"the jobs go on (scancel {ids} ends them); the same command waits")
  elif left:
    for name in left:
      jobs[name].cancel()
  return failed, bool(stopped)


def _wait(
  orders: Mapping[str, Order], asked: Options, folder: Path, stopped: list
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
  """Submit commands until all have ended or something is in `stopped`.

  Returns:
    jobs by name; why those failed that did; names of jobs that have not ended.
  """
  executor = _executor(asked, folder)
  jobs = _list_running(executor, orders, folder / _JOBS)
  waiting = [name for name in orders if name not in jobs]
  failed = {}
  left = [*jobs]
  while (waiting or left) and not stopped:
    # Slurm keeps the limit itself, of an array of jobs.
    local = asked.cluster == "local"
    begun = waiting[: max(0, asked.at_once - len(left))] if local else waiting
    if begun:
      jobs |= _submit(executor, {name: orders[name] for name in begun})
      listed = {name: job.job_id for name, job in jobs.items()}
      write_atomically(folder / _JOBS, json.dumps(listed, indent=2))
    waiting = waiting[len(begun) :]
    left += begun
    for name in [name for name in left if jobs[name].done()]:
      left.remove(name)
      if why := _describe_failure(jobs[name]):
        failed[name] = why
      say(f"== {name}: {why or 'done'}")
    time.sleep(_PAUSE[asked.cluster])
  return jobs, failed, left


def _executor(asked: Options, folder: Path) -> Any:
  """Return submitit's executor.

  Raises:
    SlurmError: it does not take the parameters.
  """
  package = submitit()
  kind = package.SlurmExecutor
  parameters = asked.parameters
  if asked.cluster == "local":
    for old in folder.glob("*_result.pkl"):  # a job's name is its process's
      old.unlink()
    kind = package.LocalExecutor
    parameters = {
      new: parameters[n] for n, new in _LOCAL.items() if n in parameters
    }
  try:
    executor = kind(folder, max_num_timeout=asked.requeues)
    executor.update_parameters(**parameters)
  except (ValueError, TypeError, RuntimeError) as error:
    raise SlurmError(f"--slurm: {' '.join(str(error).split())}") from error
  return executor


def _list_running(
  executor, names: Iterable[str], listed: Path
) -> dict[str, Any]:
  """Return the jobs of an earlier call that have not ended."""
  try:
    known = json.loads(listed.read_text())
  except (OSError, ValueError):
    return {}
  jobs = {
    name: executor.job_class(executor.folder, known[name])
    for name in names
    if name in known
  }
  jobs = {n: job for n, job in jobs.items() if not job.done(force_check=True)}
  for name, job in jobs.items():
    say(f"== {name}: job {job.job_id} is under way")
  return jobs


def _submit(executor, orders: Mapping[str, Order]) -> dict[str, Any]:
  """Submit commands; several are one array.

  Raises:
    SlurmError: the cluster refuses them.
  """
  from submitit.core.utils import FailedJobError, FailedSubmissionError

  try:
    jobs = executor.submit_array(list(orders.values()))
  except (FailedJobError, FailedSubmissionError, OSError) as error:
    raise SlurmError(
      f"not submitted: {' '.join(str(error).split())}"
    ) from error
  for name, job in zip(orders, jobs, strict=True):
    say(f"== {name}: job {job.job_id}")
  return dict(zip(orders, jobs, strict=True))


def _describe_failure(job: Any) -> str:
  """Say why a job that has ended has failed; nothing where it has not."""
  if not job.paths.result_pickle.exists():
    return f"{job.state.lower()} before its end; see {job.paths.stderr}"
  printed = (job.stderr() or "").strip().splitlines()
  said = f": {printed[-1]}" if printed else f"; see {job.paths.stdout}"
  try:
    code = max(job.results(), key=abs)
  except Exception:  # what the job raised, or that Slurm gave up
    return f"failed{said}"
  return f"failed with exit status {code}{said}" if code else ""
