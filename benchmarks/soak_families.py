"""Kills runs of five families again and again; nothing of it may show.

    python -m benchmarks.soak_families [--kills=10]

Digits, AAE, WGAN-GP, M2, and a run with early stopping and plateau, each with
tiny networks: `kills` × kill -9 each, every other one aimed inside a save.
Then parameters, optimiser state, metrics (times apart) and sample pictures
are compared, bit for bit, with a run that was left alone. Exit code 1 where
any family differs. `soak_resume` does the same to one config.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import soak_resume as soak
from benchmarks.equal_runs import differences

_TINY = {"log_every": 5, "checkpoint_every": 5, "keep": 2}
_MLP = (6, 5)


def _widths(*nets: str) -> dict:
  return {f"model.{net}.widths": _MLP for net in nets}


# Pages and overrides; epochs are such that ten kills find the run unfinished.
FAMILIES = {
  "digits": ("configs/digits.py:smoke", soak.SMALL | {"epochs": 4}),
  "aae": (
    "configs/zoo.py:aae,smoke",
    _widths("encoder", "decoder", "discriminator") | {"epochs": 12},
  ),
  "wgan_gp": (
    "configs/compare.py:wgan_gp,smoke",
    {"epochs": 60},
  ),
  "m2": (
    "configs/zoo.py:m2,smoke",
    _widths("classifier", "inference", "generator")
    | {"model.latents": 3, "epochs": 12},
  ),
  "stopping": (
    "configs/digits.py:smoke",
    soak.SMALL
    | {
      "epochs": 6,
      "early_stop.metric": "loss",
      "early_stop.patience": 2,
      "early_stop.restore": True,
      "plateau.metric": "loss",
      "plateau.patience": 1,
      "plateau.min_delta": 50.0,
    },
  ),
}


def run(name: str, folder: Path, kills: int, seed: int) -> bool:
  """Soak one family and print its line; return whether all is equal."""
  page, changes = FAMILIES[name]
  flags = [f"--config={page}", *soak.overrides(_TINY | changes)]
  reference = folder / name / "reference"
  killed = folder / name / "killed"
  reference.parent.mkdir(parents=True)
  begun = time.monotonic()
  soak.finish(flags, reference)
  inside = soak.soak(flags, killed, kills, _TINY["checkpoint_every"], seed)
  lines = differences(reference, killed)
  word = "equal" if not lines else f"NOT equal, {len(lines)} differences"
  print(
    f"{name:10} {kills} kills, {inside} inside a save, {word}, "
    f"{max(soak.list_saved_steps(killed))} steps, "
    f"{(time.monotonic() - begun) / 60:.1f} min",
    *lines[:10],
    sep="\n  ",
    flush=True,
  )
  return not lines


def main() -> int:
  """Print one line a family; exit code 1 where one is not equal."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--kills", type=int, default=10, help="of each family")
  parser.add_argument("--only", choices=list(FAMILIES), action="append")
  parser.add_argument("--seed", type=int, default=0)
  args = parser.parse_args()
  names = args.only or list(FAMILIES)
  folder = Path(tempfile.mkdtemp(prefix="soak_families_"))
  # Compilation is nine tenths of such a run, and is not what is tested.
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
  equal = [run(name, folder, args.kills, args.seed) for name in names]
  print(f"{sum(equal)} of {len(names)} families equal; folders in {folder}")
  return int(not all(equal))


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
