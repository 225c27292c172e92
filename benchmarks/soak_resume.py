"""Kills one run again and again and checks that nothing of it shows.

    python -m benchmarks.soak_resume --kills=20

A reference run trains undisturbed. A second one of the same config is killed
with SIGKILL, started anew, killed, …, then left to finish. Every other kill is
aimed inside a save: it waits for orbax's temporary folder. The rest come at
random steps, so some take back work that no checkpoint holds yet. Afterwards
parameters, optimiser state, metrics and sample pictures must be equal, bit for
bit. Words behind `--` go to `launch.train` as they are, e.g.
`-- --config.epochs=9`; without --config a small network trains on small steps.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.equal_runs import differences
from cvae_jax import config as configs
from cvae_jax.loop.folder.rows import read_metrics

ROOT = Path(__file__).parents[1]
TEMPORARY = "*.orbax-checkpoint-tmp*"  # what orbax calls an unfinished save

# The digits' system in small: one convolution a side, dropout and grey term.
SMALL = {
  "model.encoder.features": (4,),
  "model.encoder.strides": (2,),
  "model.encoder.dropout": (0.4,),
  "model.encoder.dense": 8,
  "model.encoder.side": 4,
  "model.encoder.latents": 3,
  "model.decoder.dense": 8,
  "model.decoder.map": (14, 14, 2),
  "model.decoder.features": (1,),
  "model.decoder.strides": (2,),
  "model.decoder.dropout": (0.2,),
}
SOAK = {"epochs": 3, "log_every": 1, "checkpoint_every": 7}
PATIENCE = 300  # seconds without progress


class TooShort(RuntimeError):
  """Says that the run finished before all kills had come."""


def overrides(values: dict) -> list[str]:
  """Write overrides as flags, "--config.a.b=value"."""
  return [f"--config.{name}={value}" for name, value in values.items()]


def launch(flags: Sequence[str], workdir: Path, **popen) -> subprocess.Popen:
  """Start `python -m launch.train`, its output to workdir's .log file."""
  words = ["-m", "launch.train", *flags, f"--workdir={workdir}"]
  with Path(f"{workdir}.log").open("ab") as log:
    options = {"cwd": ROOT, "stdout": log, "stderr": log} | popen
    return subprocess.Popen([sys.executable, *words], **options)


def finish(flags: Sequence[str], workdir: Path) -> None:
  """Train to the end.

  Raises:
    RuntimeError: it failed; the end of its output is given.
  """
  code = launch(flags, workdir).wait()
  if code:
    _fail(code, workdir)


def kill_at_step(process, workdir: Path, ahead: int, pause: float) -> None:
  """Kill once the run is `ahead` steps past its newest checkpoint."""
  target = max(list_saved_steps(workdir), default=0) + ahead
  old = _inode(workdir / "metrics.jsonl")  # replaced when the run goes on
  for _ in _polls(process, workdir):
    resumed = _inode(workdir / "metrics.jsonl") != old
    if resumed and last_step(workdir) >= target:
      break
  time.sleep(pause)
  process.kill()
  process.wait()


def kill_in_save(process, workdir: Path, skip: int, pause: float) -> bool:
  """Let `skip` saves pass and kills `pause` seconds into the next one.

  Says whether that save was still under way.
  """
  old = _list_unfinished(workdir)  # left by earlier kills
  for _ in _polls(process, workdir):
    if new := _list_unfinished(workdir) - old:
      if not skip:
        break
      skip = skip - 1
      old = old | new
  time.sleep(pause)
  process.kill()
  process.wait()
  return bool(_list_unfinished(workdir) - old)


def list_saved_steps(workdir: Path) -> list[int]:
  """List the complete checkpoints, from what lies in the folder alone."""
  return sorted(
    int(path.name)
    for path in (workdir / "checkpoints").glob("*")
    if path.name.isdigit()
  )


def _polls(process: subprocess.Popen, workdir: Path) -> Iterator[None]:
  """Yield every half millisecond while the process runs."""
  end = time.monotonic() + PATIENCE
  while time.monotonic() < end:
    yield
    if (code := process.poll()) is not None:
      if code:
        _fail(code, workdir)
      raise TooShort(f"{workdir}: finished before the kill; raise the epochs")
    time.sleep(0.0005)
  process.kill()
  raise RuntimeError(f"{workdir}: no progress in {PATIENCE} s")


def _fail(code: int, workdir: Path) -> None:
  end = Path(f"{workdir}.log").read_text()[-2000:]
  raise RuntimeError(f"{workdir}: exit code {code}; its output ended:\n{end}")


def _list_unfinished(workdir: Path) -> set[tuple[str, int]]:
  """Name saves under way; the inode tells a new folder from an old one."""
  found = set()
  for path in (workdir / "checkpoints").glob(TEMPORARY):
    if inode := _inode(path):  # else it finished between the two calls
      found.add((path.name, inode))
  return found


def _inode(path: Path) -> int | None:
  try:
    return path.stat().st_ino
  except FileNotFoundError:
    return None


def last_step(workdir: Path) -> int:
  """Return the last step that metrics.jsonl has."""
  try:
    rows = read_metrics(workdir)
  except ValueError:  # read while a line was being written
    return 0
  return max((row["step"] for row in rows), default=0)


def soak(
  flags: Sequence[str], workdir: Path, kills: int, every: int, seed: int
) -> int:
  """Train in workdir through `kills` kills; counts those inside a save."""
  draw = random.Random(seed)
  inside = 0
  for kill in range(1, kills + 1):
    process = launch(flags, workdir)
    try:
      if kill % 2:
        # Most of a small save is over in 0.05 s.
        skip = draw.randint(0, 2)
        pause = draw.uniform(0, 0.05)
        hit = kill_in_save(process, workdir, skip, pause)
        inside += hit
        how = "inside a save" if hit else "aimed at a save, just after it"
      else:
        ahead = draw.randint(1, 2 * every)
        kill_at_step(process, workdir, ahead, draw.uniform(0, 0.02))
        how = "at a random step"
    finally:
      process.kill()
    saved = max(list_saved_steps(workdir), default=0)
    print(
      f"kill {kill}/{kills} {how}: step {last_step(workdir)} reached, "
      f"{saved} saved",
      flush=True,
    )
  finish(flags, workdir)
  return inside


def main() -> int:
  """Print the verdict; exit code 1 where anything differs."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--kills", type=int, default=20)
  parser.add_argument("--config", help="as for launch.train")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--workdir", type=Path, help="default: a temporary one")
  parser.add_argument("flags", nargs="*", help="behind --, for launch.train")
  args = parser.parse_args()
  small = [] if args.config else overrides(SMALL | SOAK)
  name = args.config or "configs/digits.py:smoke"
  flags = [f"--config={name}", *small, *args.flags]
  folder = args.workdir or Path(tempfile.mkdtemp(prefix="soak_resume_"))
  folder.mkdir(parents=True, exist_ok=True)
  reference = folder / "reference"
  killed = folder / "killed"
  if killed.exists():
    parser.error(f"{killed} exists; give a new --workdir")

  begun = time.monotonic()
  finish(flags, reference)
  config = configs.from_json((reference / "config.json").read_text())
  inside = soak(flags, killed, args.kills, config.checkpoint_every, args.seed)
  lines = differences(reference, killed)
  steps = max(list_saved_steps(killed))
  minutes = (time.monotonic() - begun) / 60
  print(
    f"{steps} steps in {minutes:.1f} min; {inside} of {args.kills} kills "
    f"landed inside a save; folders in {folder}"
  )
  if lines:
    print(f"NOT equal after kill -9, {len(lines)} differences:", *lines[:20])
    return 1
  print(
    f"bit-exact resume after kill -9: {args.kills} of {args.kills} kills "
    "survived; parameters, optimiser state and metrics equal"
  )
  return 0


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
