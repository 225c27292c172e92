"""Measure how training's speed and memory grow with the work.

    python benchmarks/scale.py --out=scale.json
    python benchmarks/scale.py --only=rows --rounds=9

A conditional VAE of configs/images.py, whole steps as the loop makes them:
rows, images, forward, loss, backward, Adam. One question at a time (the size
of images, of a batch, of the data, of the latent); its cells are processes
that take turns, so that all meet the same load. Data of more than 1 GiB are
memory-mapped, as in training. The file of drawn data is sparse: it takes no
disk, and what is read of it is the page cache's, so disks are not measured.

Examples a CPU second, of all cores together, tell what a step costs where
other processes take their share. MiB is what a process has for itself (Linux:
RssAnon), without pages of the file, which the system takes back whenever it
needs them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASE = {"size": 64, "batch": 32, "rows": 10_000, "latents": 32}
QUESTIONS = {
  "size": (32, 64, 128, 256),
  "batch": (8, 32, 128, 512),
  "rows": (1_000, 10_000, 100_000, 1_000_000),
  "latents": (2, 32, 512),
}


def work(cell: dict[str, int], scratch: Path) -> None:
  """Train a cell; a line on stdin asks for a window of so many seconds."""
  from cvae_jax.host import cpu

  cpu.tune()
  import jax
  import numpy as np

  from cvae_jax import config as configs, data
  from cvae_jax.loop import dispatch, job as jobs
  from cvae_jax.loop.feed import Feed

  shape = (cell["size"], cell["size"], 3)
  few = np.random.default_rng(0).integers(256, size=(600, *shape))
  changes = {"batch_size": cell["batch"], "model.latents": cell["latents"]}
  config = configs.load(str(ROOT / "configs/images.py"), changes)
  with config.unlocked():
    config.data = {"name": "arrays"}
  dataset = data.from_arrays(few.astype(np.uint8), {}, held_out=0.0)
  job = jobs.prepare(config, dataset=dataset)
  path = scratch / f"{cell['size']}_{cell['rows']}"
  whole = (cell["rows"], *shape)
  with path.open("ab") as file:
    file.truncate(int(np.prod(whole)))
  columns = {
    name: np.zeros((cell["rows"], *column.shape[1:]), column.dtype)
    for name, column in job.train.columns.items()
    if name != "image"
  }
  columns["image"] = np.memmap(path, np.uint8, "r", shape=whole)
  job = job._replace(train=Feed(columns), steps=2**30)
  advance = dispatch.make_advance(job)
  state = jax.jit(job.system.init)(jax.random.key(0))
  step = 0
  for _ in range(3):
    step, state, _ = advance(step, state)
  jax.block_until_ready(state)
  mapped = job.train.resident is None
  for line in sys.stdin:
    begin = time.perf_counter()
    busy = time.process_time()
    first = step
    before = ()
    while time.perf_counter() - begin < float(line):
      step, state, metrics = advance(step, state)
      jax.block_until_ready(before)  # a step late, as in training
      before = metrics
    jax.block_until_ready(before)
    seconds = time.perf_counter() - begin
    busy = time.process_time() - busy
    done = (step - first) * cell["batch"]
    rates = {"rate": done / seconds, "busy": done / busy}
    say(rates | {"mib": measure_memory(), "mapped": mapped})


def say(line: dict) -> None:
  """Print a line for the process that asked."""
  print(json.dumps(line), flush=True)


def measure_memory() -> float:
  """Return the MiB that this process has for itself."""
  for line in Path("/proc/self/status").read_text().splitlines():
    if line.startswith("RssAnon"):
      return int(line.split()[1]) / 1024
  return float("nan")


def ask(name: str, rounds: int, seconds: float, scratch: Path) -> list[dict]:
  """Measure the cells of a question, by turns: a row of the table each."""
  cells = [BASE | {name: value} for value in QUESTIONS[name]]
  begun = []
  for cell in cells:
    words = [__file__, f"--cell={json.dumps(cell)}", f"--scratch={scratch}"]
    process = subprocess.Popen(
      [sys.executable, *words],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    begun.append(process)
    window(process, 0.1)  # compiled, before the next one starts
  try:
    found = [
      [window(process, seconds) for process in begun] for _ in range(rounds)
    ]
  finally:
    for process in begun:
      process.communicate()
  return [
    cell
    | {
      "rates": [windows[i]["rate"] for windows in found],
      "busy": [windows[i]["busy"] for windows in found],
      "mib": found[-1][i]["mib"],
      "grown": found[-1][i]["mib"] - found[0][i]["mib"],
      "mapped": found[-1][i]["mapped"],
    }
    for i, cell in enumerate(cells)
  ]


def window(process: subprocess.Popen, seconds: float) -> dict:
  """Ask a cell's process for a window of so many seconds."""
  print(seconds, file=process.stdin, flush=True)
  return json.loads(process.stdout.readline())


def table(name: str, rows: list[dict]) -> str:
  """Return a question's cells as Markdown; ratios are medians of the turns."""
  base = next(row for row in rows if row[name] == BASE[name])
  beside = f"÷ {BASE[name]:,}'s"
  heads = [name, "examples/s", "min–max", beside]
  heads += ["a CPU second", beside, "MiB", "MiB more at the end", "data"]
  lines = [heads, ["---"] * len(heads)]
  for row in rows:
    rates = row["rates"]
    lines.append(
      [
        f"{row[name]:,}",
        f"{statistics.median(rates):,.0f}",
        f"{min(rates):,.0f}–{max(rates):,.0f}",
        f"{ratio(rates, base['rates']):.2f}",
        f"{statistics.median(row['busy']):,.0f}",
        f"{ratio(row['busy'], base['busy']):.2f}",
        f"{row['mib']:,.0f}",
        f"{row['grown']:+,.0f}",
        "memory-mapped" if row["mapped"] else "resident",
      ]
    )
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(ours: list[float], theirs: list[float]) -> float:
  """Return the median of the ratios, turn by turn."""
  return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
  """Print a table for each question, and write all as JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--only", choices=QUESTIONS, action="append")
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--seconds", type=float, default=3.0, help="of a window")
  parser.add_argument("--out", default="", help="a JSON file")
  parser.add_argument("--cell", help=argparse.SUPPRESS)
  parser.add_argument("--scratch", help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.cell:
    work(json.loads(given.cell), Path(given.scratch))
    return
  found = {}
  with tempfile.TemporaryDirectory() as scratch:
    for name in given.only or QUESTIONS:
      found[name] = ask(name, given.rounds, given.seconds, Path(scratch))
      print(f"\n{table(name, found[name])}", flush=True)
      if given.out:
        Path(given.out).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
  main()
