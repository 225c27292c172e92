r"""Train every variant that a config file's `sweep()` yields, one by one.

    python -m launch.sweep --config=configs/faces.py --workdir=runs/faces
    python -m launch.sweep --config=digits:model=2 --workdir=runs/rates \
      --grid=config.optim.lr=1e-3,3e-4 --grid=config.seed=0..4

Each variant is trained in <workdir>/<variant>. With --grid every combination of
the given values is trained: for the one variant behind the colon, or for those
of the page's own variants that --only names ('*' for all).

The same command resumes a sweep: it goes on with interrupted runs, and leaves
finished ones as they are. To give a finished run more epochs, call launch.train
on its folder. Variants behind the file (faces.py:smoke) and flags behind `--`
apply to every run that is not finished; they may not set a key of the grid.

If a variant fails, the others are trained nevertheless. The failed ones are
listed at the end, and the exit status is 1. After SIGTERM or Ctrl-C the run
under way saves, and the sweep ends with status 75.

On a Slurm cluster the variants train side by side, each as a job:

    python -m launch.sweep --config=configs/faces.py --workdir=runs/faces \
      --slurm.partition=gpu --slurm.gpus_per_node=1 --slurm.time=4:00:00

A job that is pre-empted or out of time saves, is requeued and goes on. The
options are those of submitit (docs/devices.md).
"""

import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from absl import flags

from cvae_jax.host import children, slurm, slurm_job, slurm_options, variants
from cvae_jax.host.console import say

from . import command

_CONFIG = flags.DEFINE_string("config", None, "Config file[:variants].")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.")
_ONLY = flags.DEFINE_multi_string(
  "only", [], "These variants alone: model=9,model=10 or 'm2,*'; repeatable."
)
_GRID = flags.DEFINE_multi_string(
  "grid", [], "Values of a key: config.seed=0..4, config.optim.lr=1e-3,3e-4."
)
_SLURM = re.compile(r"--?slurm\.(\w+)(?:=(.*))?", re.DOTALL)
_slurm: dict[str, list[str]] = {}  # --slurm.NAME=VALUE: values by name


class Training(NamedTuple):
  """One training of a sweep."""

  name: str  # of its folder below --workdir
  flags: tuple[str, ...]  # of launch.train


def prepare(argv: list[str]) -> list[str]:
  """Take --slurm.NAME=VALUE out of the words.

  Raises:
    SlurmError: one has no value.
  """
  end = argv.index("--") if "--" in argv else len(argv)
  rest = []
  _slurm.clear()
  for word in argv[:end]:
    match = _SLURM.fullmatch(word)
    if match and match[2] is None:
      raise slurm_options.SlurmError(f"{word}: expected {word}=VALUE")
    if match:
      _slurm.setdefault(match[1], []).append(match[2])
    else:
      rest.append(word)
  return [*rest, *argv[end:]]


def main(words: list[str]) -> int:
  """Train the variants; return 1 if one failed, PREEMPTED after a signal."""
  from cvae_jax.host import lock

  trainings = plan(_CONFIG.value, _ONLY.value, _GRID.value)
  variants.check_shared(words, variants.grid(_GRID.value)[0])
  folder = command.path(_WORKDIR)
  asked = slurm_options.options(_slurm) if _slurm else None
  with lock.hold(folder, "sweeping"):
    if asked:
      return _submit(trainings, folder, words, asked)
    return _sweep(trainings, folder, words)


def plan(config: str, only: list[str], grid: list[str]) -> list[Training]:
  """Return the trainings of a page's own variants and of a grid of values.

  Args:
    config: a page and variants that all trainings share.
    only: patterns of the page's own variants.
    grid: keys and values, see variants.grid.

  Raises:
    ConfigError: the page has no sweep() or not such a variant, or a key of the
      grid is not in its config.
  """
  from cvae_jax import config as configs, pages, settings

  path, _, common = config.partition(":")
  chosen = [""]
  if only or not grid:
    chosen = variants.select_variants(pages.variants(path), only)
  points = variants.grid(grid)
  trainings = []
  for variant in chosen:
    arguments = ",".join(filter(None, [variant, common]))
    asked = f"{path}:{arguments}" if arguments else path
    page = configs.load_page(asked) if grid else None
    for point in points:
      for key in point:
        settings.check_key(page, key)
      pairs = [f"{key}={value}" for key, value in point.items()]
      overrides = [f"--config.{pair}" for pair in pairs]
      name = ",".join(filter(None, [variant, *map(_file_name, pairs)]))
      trainings.append(Training(name, (f"--config={asked}", *overrides)))
  return trainings


def _file_name(text: str) -> str:
  """Return text as part of a folder's name: a slash becomes %2F."""
  return urllib.parse.quote(text, safe="=,.()[] ")


def _sweep(trainings: list[Training], folder: Path, words: list[str]) -> int:
  trainer = _Trainer()
  failed = []
  for name, order in _orders(trainings, folder, words).items():
    if trainer.stopped:
      return command.PREEMPTED
    say(f"== {name}")
    code = trainer.run(order)
    # One may be preempted without us: by its own batch system's warning.
    if code == command.PREEMPTED or (code and trainer.stopped):
      return code
    if code:
      failed.append(name)
      say(f"== {name}: failed with exit status {code}")
  return _end(failed, trainings)


def _submit(
  trainings: list[Training],
  folder: Path,
  words: list[str],
  asked: slurm_options.Options,
) -> int:
  """Train as jobs of a cluster."""
  orders = {
    name: slurm_job.Order(order, command.PREEMPTED)
    for name, order in _orders(trainings, folder, words).items()
  }
  failed, stopped = slurm.run(orders, asked, folder)
  return command.PREEMPTED if stopped else _end(failed, trainings)


def _orders(
  trainings: list[Training], folder: Path, words: list[str]
) -> dict[str, list[str]]:
  """Return the command of each training that is not done, by its name."""
  orders = {}
  for name, own in trainings:
    run = folder / name
    if (run / "DONE").exists():
      say(f"== {name}: done, left as it is")
      continue
    # A process of its own: its memory is free again when it ends.
    module = f"{__package__}.train"  # launch, or cvae_jax.launch
    order = [sys.executable, "-m", module, *own, f"--workdir={run}", *words]
    orders[name] = order
  return orders


def _end(failed: Collection[str], trainings: list[Training]) -> int:
  """Say which trainings failed and return the exit status."""
  if not failed:
    return 0
  say(
    f"== {len(failed)} of {len(trainings)} failed: {', '.join(failed)}; the "
    "same command tries them again"
  )
  return 1


class _Trainer:
  """Waits for one training at a time, and for its save after a signal.

  Ctrl-C reaches a training by itself, being of the same process group, so
  that here it is only noted; SIGTERM is passed on.
  """

  def __init__(self):
    self.stopped = False
    self._child = None
    # Functions, since a training would inherit that a signal is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, self._note)

  def run(self, order: list[str]) -> int:
    """Run a command to its end and return its exit status.

    It is PREEMPTED, too, if a signal ended the command before it could save.
    """
    self._child = subprocess.Popen(order, preexec_fn=children.end_with_parent())
    if self.stopped:  # by a signal too early to be passed on
      self._child.terminate()
    code = self._child.wait()
    return command.PREEMPTED if self.stopped and code < 0 else code

  def _note(self, number, frame):
    self.stopped = True
    if number == signal.SIGTERM and self._child:
      self._child.terminate()


if __name__ == "__main__":
  command.run(main, ["config", "workdir"], prepare, words=True)
