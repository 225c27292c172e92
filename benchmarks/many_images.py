"""Memory and speed with more images than fit: prepare, then train a while.

    python benchmarks/many_images.py --count=200000

Draws a set of 64 × 64 RGB images as one .npy with a table, prepares it and
trains on it, beside a set of --beside images that lives on the device as a
whole. All of it is in a folder that is removed in the end (3 × 12 kB an image).
Memory is that of a process and its children, polled: what is their own, and
the pages of files beside it, which the kernel takes back when it needs them.
"""

import argparse
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cvae_jax.data.files import shapes  # noqa: E402

SIDE = 64
DRAWN = 1200  # shapes; the others are these in another light
POLL = 0.1  # seconds
TICK = os.sysconf("SC_CLK_TCK")
KINDS = {"own": ("RssAnon", "RssShmem"), "files": ("RssFile",)}


def draw(folder: pathlib.Path, count: int) -> None:
  """Write images.npy [count, 64, 64, 3] and labels.csv, with little memory."""
  folder.mkdir(parents=True)
  drawn = list(shapes.make(min(count, DRAWN), side=SIDE))
  images = np.lib.format.open_memmap(
    folder / "images.npy", "w+", np.uint8, (count, SIDE, SIDE, 3)
  )
  generator = np.random.default_rng(0)
  for row in range(count):
    image = drawn[row % len(drawn)][2]
    images[row] = image - generator.integers(0, 20, dtype=np.uint8)
  images.flush()
  rows = [drawn[row % len(drawn)][1] for row in range(count)]
  pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)


def write_files(folder: pathlib.Path, count: int) -> None:
  """Write class folders of PNG files with labels.csv."""
  shapes.write(folder, count, side=SIDE)


class Watched:
  """A command, with the memory and the time that it and its children take."""

  def __init__(self, *command: str):
    self.peak = dict.fromkeys(KINDS, 0)
    self.begun = time.monotonic()
    self.process = subprocess.Popen(
      [sys.executable, *command],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    self._thread = threading.Thread(target=self._poll, daemon=True)
    self._thread.start()

  def _poll(self) -> None:
    while self.process.poll() is None:
      family = _family(self.process.pid)
      for name, keys in KINDS.items():
        now = sum(_memory(pid, keys) for pid in family)
        self.peak[name] = max(self.peak[name], now)
      time.sleep(POLL)

  def cpu(self) -> float:
    """Return the seconds of CPU time that the process has had."""
    stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICK

  def end(self) -> str:
    """Wait for the end; return the seconds and the memory in words."""
    self.process.wait()
    self._thread.join()
    seconds = time.monotonic() - self.begun
    own, files = (self.peak[name] / 2**30 for name in KINDS)
    return f"{seconds:.0f} s, {own:.2f} GiB, pages of files {files:.2f} GiB"


def _family(pid: int) -> list[int]:
  """Return a process and all that descend from it."""
  found = [pid]
  for parent in found:
    for file in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
      try:
        found += map(int, file.read_text().split())
      except OSError:  # it has ended
        continue
  return found


def _memory(pid: int, keys: tuple[str, ...]) -> int:
  """Return the bytes that /proc says of a process; 0 if it has ended."""
  try:
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
  except OSError:
    return 0
  return sum(
    int(n) << 10 for key in keys for n in re.findall(rf"{key}:\s+(\d+)", text)
  )


def prepare(images: pathlib.Path, out: pathlib.Path, *more: str) -> str:
  """Prepare a set; return what it took.

  Raises:
    RuntimeError: it failed.
  """
  script = str(ROOT / "data" / "prepare_images.py")
  run = Watched(script, f"--images={images}", f"--out={out}", *more)
  text = run.process.stdout.read()
  took = run.end()
  if run.process.returncode:
    raise RuntimeError(text)
  return took


def train(data: pathlib.Path, first: int, last: int) -> dict:
  """Train to a step; return speeds between `first` and it, and memory.

  Raises:
    RuntimeError: it ended before.
  """
  with tempfile.TemporaryDirectory() as workdir:
    flags = ["--config=configs/images.py", f"--config.data.path={data}"]
    flags += [f"--workdir={workdir}/run", "--config.checkpoint_every=1000000"]
    run = Watched("-m", "launch.train", *flags)
    seen = {}
    text = []
    for line in run.process.stdout:
      text.append(line)
      if match := re.match(r"step (\d+)/", line):
        seen[int(match[1])] = (time.monotonic(), run.cpu())
        if int(match[1]) >= last:
          run.process.send_signal(signal.SIGTERM)
          break
    run.process.stdout.read()
    took = run.end()
  if first not in seen or last not in seen:
    raise RuntimeError("".join(text))
  wall, cpu = (b - a for a, b in zip(seen[first], seen[last], strict=True))
  images = 32 * (last - first)
  return {"rate": images / wall, "cpu": 1e3 * cpu / images, "took": took}


def main() -> None:
  """Measure, and print a line for each figure."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--count", type=int, default=200_000)
  parser.add_argument("--beside", type=int, default=20_000, help="as PNG files")
  parser.add_argument("--rounds", type=int, default=2)
  parser.add_argument("--steps", type=int, default=600)
  parser.add_argument("--folder", help="where there is room for it; else /tmp")
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
    work = pathlib.Path(name)
    draw(work / "many", arguments.count)
    write_files(work / "few", arguments.beside)
    table = f"--table={work / 'many' / 'labels.csv'}"
    array = work / "many" / "images.npy"
    took = prepare(array, work / "many_set", table)
    print(f"prepare {arguments.count:,} of an array: {took}", flush=True)
    array.unlink()
    took = prepare(work / "few", work / "few_set", "--size=64")
    print(f"prepare {arguments.beside:,} PNG files: {took}", flush=True)
    found = {"many": [], "few": []}
    for _ in range(arguments.rounds):
      for which, runs in found.items():
        runs.append(train(work / f"{which}_set", 100, arguments.steps))
        print(f"train {which}: {runs[-1]['took']}", flush=True)
  for which, runs in found.items():
    rate, cpu = (
      statistics.median(run[k] for run in runs) for k in ("rate", "cpu")
    )
    print(
      f"{which}: {rate:.0f} examples/s, {cpu:.2f} ms of CPU time an example"
    )


if __name__ == "__main__":
  main()
