"""Surroundings that are odder: no folder to stand in, signals, limits."""

import os
import signal
import time

from benchmarks import soak_resume as soak
from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group
from benchmarks.faults.environment import _line, resumed
from benchmarks.faults.judges import (
  no_trouble,
  nothing,
  refused,
  same_or_refused,
  works,
)
from benchmarks.faults.kill import _until

_group = Group("environment")
faults = _group.faults

for _name, _env in {
  "a compilation cache in a file": {"JAX_COMPILATION_CACHE_DIR": "/dev/null"},
  "a compilation cache below /proc": {"JAX_COMPILATION_CACHE_DIR": "/proc/x"},
  "no folder for matplotlib": {"MPLCONFIGDIR": "/proc/x"},
  "a screen for matplotlib": {"MPLBACKEND": "TkAgg", "DISPLAY": ""},
  "a home that is a file": {"HOME": "/dev/null"},
  "temporary files in a file": {"TMPDIR": "/dev/null"},
  "warnings as errors": {"PYTHONWARNINGS": "error"},
  "an odd number of threads": {"OMP_NUM_THREADS": "many"},
}.items():
  _judge = same_or_refused(nothing, *_env, "cache", wrong=LOSS)
  _group.add(f"resumed under {_name}", resumed(_env), _judge)
for _name, _env in {
  "an unknown flag of XLA": {"XLA_FLAGS": "--xla_no_such_flag=1"},
  "a PRNG that is not there": {"JAX_DEFAULT_PRNG_IMPL": "dice"},
}.items():
  _group.add(
    f"resumed under {_name}", resumed(_env), refused(*_env, "flag", "prng")
  )
_group.add(
  "resumed in a folder that was deleted",
  resumed(
    prefix='d=$(mktemp -d); cd "$d"; rmdir "$d"; export PYTHONPATH='
    f"{launching.ROOT}; "
  ),
  no_trouble("config", "folder", "configs"),
)
_group.add(
  "resumed in 600 MB of address space",
  resumed(prefix="ulimit -v 600000; "),
  no_trouble(),
)


def _paused(room):
  run = room.folder / "run"
  process = room.spawn(run)
  _until(process, lambda: soak.last_step(run) >= 3)
  process.send_signal(signal.SIGSTOP)
  time.sleep(2)
  process.send_signal(signal.SIGCONT)
  done = launching.finish(process)
  done.value = room.differences(run) if done.code == 0 else None
  return done


_group.add("stopped for 2 s and continued", _paused, works(nothing, LOSS))


def _vanished(harm):
  """Harm the run's folder while it trains; a clear end is expected."""

  def act(room):
    run = room.folder / "run"
    process = room.spawn(run, epochs=400, log_every=1)
    _until(process, lambda: soak.last_step(run) >= 5)
    harm(run)
    return launching.finish(process, 60)

  return act


_group.add(
  "the run's folder renamed while it trains",
  _vanished(lambda run: run.rename(run.with_name("moved"))),
  no_trouble("run", "metrics.jsonl", "checkpoints"),
)


def _deleted(room):
  run = room.copy()
  inner = f"rm -rf '{run}/checkpoints' & "
  return launching.shell(inner + _line(room, run), {"CVAE_JAX_TUNE": "0"})


_group.add(
  "checkpoints deleted while it begins",
  _deleted,
  no_trouble("run", "checkpoints"),
)


@_group.fault("a workdir that is this process's own /proc", refused("proc"))
def _(room):
  return room.train(f"/proc/{os.getpid()}/run", epochs=1)
