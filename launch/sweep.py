"""Train every variant that a config file's `sweep()` yields, one by one.

    python -m launch.sweep --config=configs/faces.py --workdir=runs/faces

Each goes into <workdir>/<variant>. What is done is skipped and what was
interrupted goes on, so the same command resumes the sweep. Variants behind the
file (configs/faces.py:smoke) and words behind `--` go to every run.
"""

import subprocess
import sys
from pathlib import Path

from absl import flags

from launch import command

_CONFIG = flags.DEFINE_string("config", None, "Config file[:variants].")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.")
_ONLY = flags.DEFINE_multi_string(
  "only", [], "These variants alone: model=9,model=10 or 'm2,*'; repeatable."
)


def main(words: list[str]) -> int:
  """Trains the variants; stops at the first that does not finish."""
  from cvae_jax import config

  path, _, common = _CONFIG.value.partition(":")
  for variant in config.chosen(config.variants(path), _ONLY.value):
    folder = Path(_WORKDIR.value) / variant
    if (folder / "DONE").exists():
      print(f"== {variant}: done", flush=True)
      continue
    print(f"== {variant}", flush=True)
    arguments = ",".join(filter(None, [variant, common]))
    # A process of its own: its memory is free again when it ends.
    flag = f"--config={path}:{arguments}"
    order = [sys.executable, "-m", "launch.train", flag, f"--workdir={folder}"]
    done = subprocess.run([*order, *words])
    if done.returncode:
      return done.returncode
  return 0


if __name__ == "__main__":
  command.run(main, ["config", "workdir"])
