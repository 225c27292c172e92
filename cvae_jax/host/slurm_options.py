"""What jobs of a cluster are asked for: --slurm.NAME=VALUE, checked."""

import ast
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_OWN = ("cluster", "max_num_timeout")
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_DEFAULTS = {
  "slurm": {"job_name": "cvae_jax", "time": 60, "signal_delay_s": 120},
  "local": {"time": 366 * 24 * 60, "array_parallelism": 1},
}


class SlurmError(ValueError):
  """Says what is wrong with what a cluster is asked for."""


class Options(NamedTuple):
  """How jobs are submitted."""

  cluster: str  # slurm or local
  requeues: int  # how often one that ran out of time goes on
  at_once: int  # jobs
  parameters: dict[str, Any]  # of sbatch, as submitit names them


def options(words: Mapping[str, Sequence[str]]) -> Options:
  """Return what --slurm.NAME=VALUE ask for.

  Args:
    words: by name the values that were given, in order.

  Raises:
    SlurmError: submitit is missing, or it has no such name.
  """
  package = submitit()
  known = {*package.SlurmExecutor._valid_parameters(), *_OWN}
  for name in words:
    if name not in known:
      raise SlurmError(
        f"--slurm.{name}: no such option; there are {', '.join(sorted(known))}"
      )
  cluster = [*words.get("cluster", ()), "slurm"][0]
  if cluster not in _DEFAULTS:
    raise SlurmError(f"--slurm.cluster={cluster}; expected slurm or local")
  values = dict(_DEFAULTS[cluster])
  for name, given in words.items():
    values[name] = _value(name, given)
  values.pop("cluster", None)
  if cluster == "slurm" and not shutil.which("srun"):
    raise SlurmError(
      "no Slurm here: the command srun was not found; log in where jobs are "
      "submitted, or give --slurm.cluster=local to run them on this machine"
    )
  at_once = values.get("array_parallelism", 256)
  if not isinstance(at_once, int) or at_once < 1:
    raise SlurmError(
      f"--slurm.array_parallelism={at_once}; expected how many jobs may run at "
      "once, 1 or more"
    )
  requeues = values.pop("max_num_timeout", 100)
  return Options(cluster, requeues, at_once, values)


def minutes(text: str) -> int:
  """Return Slurm's time in minutes: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S.

  Raises:
    SlurmError: it is none, or 0.
  """
  match = _TIME.fullmatch(text)
  if match:
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[1] is not None:
      seconds = days * 86400 + first * 3600 + second * 60 + third
    elif match[4] is not None:
      seconds = first * 3600 + second * 60 + third
    else:
      seconds = first * 60 + second
    if seconds:
      return -(-seconds // 60)
  raise SlurmError(
    f"--slurm.time={text}; expected minutes (90), hours:minutes:seconds "
    "(1:30:00) or days-hours (2-12)"
  )


def _value(name: str, given: Sequence[str]) -> Any:
  """Return an option's value in the type that submitit takes."""
  text = given[-1]
  if name == "time":
    return minutes(text)
  if name in ("setup", "teardown"):
    return list(given)
  if name == "srun_args":
    return [word for line in given for word in shlex.split(line)]
  try:
    return ast.literal_eval(text)
  except (SyntaxError, ValueError):
    return text


def submitit() -> Any:
  """Import submitit.

  Raises:
    SlurmError: it is not installed.
  """
  try:
    import submitit
  except ModuleNotFoundError as error:
    raise SlurmError(
      f"--slurm needs the package {error.name}: pip install 'cvae_jax[slurm]'"
    ) from error
  return submitit
