"""The folder that a fault works in, and the small runs that it copies."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import equal_runs
from benchmarks.faults import launching
from benchmarks.faults.case import Outcome

HALF = 12
WHOLE = 24  # steps of the two runs: one epoch and two


class Base:
  """What all faults share: small digits, photos, and two finished runs.

  It is made at first use, by one process at a time. `half` has trained for
  one epoch and `whole` for two: a half run given another epoch has to equal
  the whole one.
  """

  def __init__(self, folder: Path, data: Path | None = None):
    from tests import small

    self.folder = Path(folder)
    self.folder.mkdir(parents=True, exist_ok=True)
    with self._alone("data"):
      self.data = data or small.prepare(self.folder)

  def half(self) -> Path:
    """Return the run of 12 steps, checkpoints 7 and 12."""
    return self._run("half", 1)

  def whole(self) -> Path:
    """Return the run of 24 steps."""
    return self._run("whole", 2)

  def photos(self) -> Path:
    """Return a folder of six photos of 40 × 40 pixels, p0.png to p5.png."""
    folder = self.folder / "photos"
    with self._alone("photos"):
      if not folder.exists():
        folder.mkdir()
        rng = np.random.default_rng(0)
        for i in range(6):
          coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
          Image.fromarray(coarse).resize((40, 40)).save(folder / f"p{i}.png")
    return folder

  def flags(self, **changes) -> list[str]:
    """Return the small config as flags of launch.train."""
    from tests import small

    return small.flags(self.data, **changes)

  def _run(self, name: str, epochs: int) -> Path:
    folder = self.folder / name
    with self._alone(name):
      if not (folder / "DONE").exists():
        flags = self.flags(epochs=epochs)
        done = launching.within("launch.train", *flags, f"--workdir={folder}")
        assert done.code == 0, done.text
    return folder

  def _alone(self, name: str) -> "_Alone":
    return _Alone(self.folder / f".{name}.lock")


class _Alone:
  """Keeps other processes of the harness out meanwhile."""

  def __init__(self, path: Path):
    self._path = path

  def __enter__(self):
    self._file = self._path.open("w")
    fcntl.flock(self._file, fcntl.LOCK_EX)

  def __exit__(self, *_):
    self._file.close()


class Room:
  """One fault's own folder, and what a user can do in it."""

  def __init__(self, base: Base, folder: Path):
    self.base = base
    self.folder = Path(folder)
    self.folder.mkdir(parents=True, exist_ok=True)
    self.unmount: list[Path] = []

  def copy(self, name: str = "half") -> Path:
    """Return a copy of the half or the whole run, to do harm to."""
    target = self.folder / "run"
    shutil.copytree(getattr(self.base, name)(), target)
    return target

  def digits(self) -> Path:
    """Return a copy of the digits' folder."""
    return Path(shutil.copytree(self.base.data, self.folder / "digits"))

  def command(self, module: str, *words: object) -> Outcome:
    """Run a command within this process."""
    return launching.within(module, *words)

  def train(self, folder: Path | str, *words: object, **changes) -> Outcome:
    """Train the small config, or go on, for two epochs if not told else."""
    changes = {"epochs": 2} | changes
    flags = self.base.flags(**changes)
    return self.command("launch.train", *flags, f"--workdir={folder}", *words)

  def resume(self, folder: Path, *words: object, **changes) -> Outcome:
    """Go on with a half run; the value lists what differs from the whole."""
    done = self.train(folder, *words, **changes)
    if done.code == 0:
      done.value = self.differences(folder)
    return done

  def differences(self, folder: Path) -> list[str]:
    """List how a run differs from the whole one, times apart."""
    if not (folder / "checkpoints").exists():
      return ["it has no checkpoints"]
    try:
      return equal_runs.differences(folder, self.base.whole())
    except Exception as error:  # a run that cannot be read differs
      return [f"{type(error).__name__}: {str(error)[:150]}"]

  def load(self, folder: Path) -> Outcome:
    """Load a run; the value is its state's bytes and its config."""
    from cvae_jax import runs

    return launching.call(lambda: contents(runs.load(folder)))

  def spawn(self, folder: Path | str, *words: object, env=None, **changes):
    """Start the small training as a process."""
    changes = {"epochs": 2} | changes
    words = (*self.base.flags(**changes), f"--workdir={folder}", *words)
    return launching.start("launch.train", *words, env=env)

  def call(self, function: Callable) -> Outcome:
    """Call a function of the package."""
    return launching.call(function)

  def leave(self) -> None:
    """Unmount and delete."""
    for path in self.unmount:
      launching.shell(f"umount -l '{path}'")
    shutil.rmtree(self.folder, ignore_errors=True)


def contents(run) -> tuple:
  """Return what a loaded run is, to compare: state, config, conditions."""
  import jax

  leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run.state)]
  return b"".join(leaves), run.config.to_json(), run.conditions.to_json()


def prepare_process() -> None:
  """Set this process up as commands are: the CPU, and XLA's flags."""
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  # A shell ignores SIGINT for what it starts behind its back.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  os.environ["CVAE_JAX_TUNE"] = "0"  # it is not started anew
  from cvae_jax.host import cpu

  cpu.set_flags()
  if str(launching.ROOT) not in sys.path:
    sys.path.insert(0, str(launching.ROOT))
