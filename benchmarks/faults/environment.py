"""Odd locales, outputs, variables and platforms of a training process."""

import shlex
import sys

from benchmarks.faults import launching
from benchmarks.faults.case import LOSS, Group
from benchmarks.faults.judges import nothing, refused, same_or_refused, works

_group = Group("environment")
faults = _group.faults


def _line(room, run, ending="") -> str:
  words = [*room.base.flags(epochs=2), f"--workdir={run}"]
  order = " ".join(map(shlex.quote, [sys.executable, "-m", "launch.train"]))
  return f"{order} {' '.join(map(shlex.quote, words))} {ending}"


def resumed(env=None, ending="", prefix=""):
  """Go on with a half run, in a process of its own, under `env`.

  The value lists the differences from the whole run. After a failure the same
  command follows without the fault, and must come to the whole run.
  """

  def act(room):
    run = room.copy()
    command = prefix + _line(room, run, ending)
    done = launching.shell(command, {"CVAE_JAX_TUNE": "0"} | (env or {}))
    if done.code == 0:
      done.value = room.differences(run)
    return done

  return act


_SAME = {
  "a C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
  "Latin 1": {"PYTHONIOENCODING": "latin-1"},
  "ASCII": {"PYTHONIOENCODING": "ascii"},
  "no locale of that name": {"LC_ALL": "xx_YY.UTF-8"},
  "8 threads for OpenMP": {"OMP_NUM_THREADS": "8"},
  "another hash seed": {"PYTHONHASHSEED": "7"},
  "python -O": {"PYTHONOPTIMIZE": "1"},
  "a dumb terminal of 1 column": {"TERM": "dumb", "COLUMNS": "1"},
  "another time zone": {"TZ": "Asia/Kathmandu"},
  "no temporary folder": {"TMPDIR": "/nowhere"},
  "proxies that are not there": {"HTTPS_PROXY": "http://127.0.0.1:9"},
}
for _name, _env in _SAME.items():
  _group.add(f"resumed under {_name}", resumed(_env), works(nothing, LOSS))
_CHANGES = {
  "JAX_ENABLE_X64": "1",
  "JAX_DISABLE_JIT": "1",
  "JAX_DEFAULT_PRNG_IMPL": "rbg",
  "JAX_THREEFRY_PARTITIONABLE": "0",
  "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
  "JAX_DEBUG_NANS": "1",
  "JAX_NUMPY_DTYPE_PROMOTION": "strict",
  "JAX_NUMPY_RANK_PROMOTION": "raise",
  "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
}
for _name, _value in _CHANGES.items():
  _judge = same_or_refused(nothing, _name, _name.lower(), "environment")
  _group.add(f"resumed with {_name}={_value}", resumed({_name: _value}), _judge)
_group.add(
  "resumed with XLA's fast math",
  resumed({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}),
  same_or_refused(nothing, "XLA_FLAGS", "xla_flags", "fast_math"),
)
for _value in ("cuda", "tpu", "gpu", "quantum"):
  _group.add(
    f"JAX_PLATFORMS={_value}",
    resumed({"JAX_PLATFORMS": _value}),
    refused("JAX_PLATFORMS"),
  )
_OUTPUTS = {
  "closed": ">&-",
  "and stderr closed": ">&- 2>&-",
  "full": ">/dev/full",
  "and stderr full": ">/dev/full 2>&1",
  "a pipe that breaks": "2>&1 | head -1; exit ${PIPESTATUS[0]}",
  "a pipe to nobody": "| true; exit ${PIPESTATUS[0]}",
}
for _name, _ending in _OUTPUTS.items():
  _group.add(f"stdout {_name}", resumed(ending=_ending), works(nothing, LOSS))
_group.add("stdin closed", resumed(ending="<&-"), works(nothing))
_group.add("HOME missing", resumed(prefix="unset HOME; "), works(nothing))
_group.add("PATH missing", resumed(prefix="export PATH=; "), works(nothing))
_group.add("umask 0777", resumed(prefix="umask 0777; "), works(nothing))
_group.add(
  "20 descriptors",
  resumed(prefix="ulimit -n 20; "),
  same_or_refused(nothing, "open files", "descriptors"),
)
_group.add(
  "no process can be started",
  resumed(prefix="export PATH=/nowhere; "),
  works(nothing),
)


@_group.fault("the preload does not survive", works(nothing), limit=150)
def _(room):
  run = room.copy()
  site = room.folder / "site"
  site.mkdir()
  text = "import os\nos.environ.pop('LD_PRELOAD', None)\n"
  (site / "sitecustomize.py").write_text(text)
  env = {"CVAE_JAX_TUNE": "1", "PYTHONPATH": str(site)}
  done = launching.shell(_line(room, run), env, limit=60)
  if done.code == 0:
    done.value = room.differences(run)
  return done
