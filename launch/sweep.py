"""Train every variant that a config file's `sweep()` yields, one by one.

    python -m launch.sweep --config=configs/faces.py --workdir=runs/faces

Each goes into <workdir>/<variant>. What was interrupted goes on, so the same
command resumes the sweep. Variants behind the file (configs/faces.py:smoke) and
words behind `--` go to every run that is not done. What is done is left as it
is, whatever they say: launch.train on its folder gives one run more epochs.
A variant that fails does not keep the others from training; the failed ones
are listed at the end, and the sweep exits with 1. SIGTERM or Ctrl-C lets the
run under way save and ends the sweep with 75.
"""

import signal
import subprocess
import sys
from pathlib import Path

from absl import flags

from cvae_jax.host.console import say

from . import command

_CONFIG = flags.DEFINE_string("config", None, "Config file[:variants].")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.")
_ONLY = flags.DEFINE_multi_string(
  "only", [], "These variants alone: model=9,model=10 or 'm2,*'; repeatable."
)


def main(words: list[str]) -> int:
  """Train the variants; gives 1 if one failed, PREEMPTED after a signal."""
  from cvae_jax import pages
  from cvae_jax.host import lock

  path, _, common = _CONFIG.value.partition(":")
  variants = pages.chosen(pages.variants(path), _ONLY.value)
  folder = command.path(_WORKDIR)
  with lock.hold(folder, "sweeping"):
    return _sweep(path, common, variants, folder, words)


def _sweep(
  path: str, common: str, variants: list[str], folder: Path, words: list[str]
) -> int:
  trainer, failed = _Trainer(), []
  for variant in variants:
    run = folder / variant
    if (run / "DONE").exists():
      say(f"== {variant}: done, left as it is")
      continue
    if trainer.stopped:
      return command.PREEMPTED
    say(f"== {variant}")
    arguments = ",".join(filter(None, [variant, common]))
    # A process of its own: its memory is free again when it ends.
    flag = f"--config={path}:{arguments}"
    trainer_module = f"{__package__}.train"  # launch, or cvae_jax.launch
    order = [sys.executable, "-m", trainer_module]
    order += [flag, f"--workdir={run}"]
    code = trainer.run([*order, *words])
    # One may be preempted without us: by its own batch system's warning.
    if code == command.PREEMPTED or (code and trainer.stopped):
      return code
    if code:
      failed.append(variant)
      say(f"== {variant}: failed with exit status {code}")
  if failed:
    say(
      f"== {len(failed)} of {len(variants)} failed: {', '.join(failed)}; the "
      "same command tries them again"
    )
  return 1 if failed else 0


class _Trainer:
  """Waits for one training at a time, and for its save after a signal.

  Ctrl-C reaches a training by itself, being of the same process group, so
  that here it is only noted; SIGTERM is passed on.
  """

  def __init__(self):
    self.stopped, self._child = False, None
    # Functions, since a training would inherit that a signal is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, self._note)

  def run(self, order: list[str]) -> int:
    """Run a command to its end; gives its exit status.

    That of one which a signal ended before it could mind it is PREEMPTED too.
    """
    self._child = subprocess.Popen(order)
    if self.stopped:  # by a signal too early to be passed on
      self._child.terminate()
    code = self._child.wait()
    return command.PREEMPTED if self.stopped and code < 0 else code

  def _note(self, number, frame):
    self.stopped = True
    if number == signal.SIGTERM and self._child:
      self._child.terminate()


if __name__ == "__main__":
  command.run(main, ["config", "workdir"])
