"""Time one training step that XLA compiles in several ways, in turns.

    python benchmarks/programs.py digits eigen ynnpack
    python benchmarks/programs.py faces eigen xla_cpu_prefer_vector_width=512

A way is a value of config.products, or options of XLA, name=value, joined by
commas. "default" is what cpu.py's flags say. All are windows of one process on
one state, so what slows the machine down slows all of them down. The last
column is the median of each window's rate by that of the first way beside it.
"""

import argparse
import statistics
import time

from ours import (  # it tunes this process before it imports jax
  Feed,
  arithmetic,
  batches,
  begin,
  config,
  jax,
  keys,
  make_dispatch,
  np,
)
from peers import timing

GREY = {"loss.grey_start": 0}
CASES = {  # columns, page, changes
  "digits": (timing.random_digits, "configs/digits.py:model=4,full", GREY),
  "faces": (timing.random_faces, "configs/faces.py:model=15", {}),
  "compare": (timing.random_compare, "configs/compare.py:vae,size=64", {}),
  "zoo_vae": (lambda: timing.random_zoo("vae"), "configs/zoo.py:vae", {}),
  "zoo_aae": (lambda: timing.random_zoo("aae"), "configs/zoo.py:aae", {}),
  "likelihood": (
    lambda: timing.random_zoo("vae"),
    "configs/likelihood.py:batch=100",
    {},
  ),
}
WINDOW = 0.7  # seconds


def options(way, settings):
  """Return XLA's options of a way."""
  if "=" in way:
    pairs = (option.split("=", 1) for option in way.split(","))
    return {name: _value(text) for name, text in pairs}
  settings.products = "" if way == "default" else way
  return arithmetic.apply(settings, config.resolve(settings))[1]


def _value(text):
  if text in ("true", "false"):
    return text == "true"
  return int(text) if text.isdigit() else text


def main():
  """Print examples/s of each way."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("case", choices=CASES)
  parser.add_argument("ways", nargs="+")
  parser.add_argument("--seconds", type=float, default=30)
  given = parser.parse_args()
  draw, page, changes = CASES[given.case]
  images, conditions = draw()
  images = images if images.ndim == 4 else images[..., None]
  settings = config.load(page, changes)
  system = config.resolve(settings)
  size = settings.batch_size
  feed = Feed({"image": images, "condition": conditions})
  state = begin.compile_fast(system.init)(keys.address(0, "init"))
  key = keys.address(0, "train")
  step = 0

  def arguments():
    rows = batches.rows_at(0, step, feed.rows, size)
    table, rows = feed(rows[None])
    return state, table, rows, key, np.int32(step)

  def train(program, steps):
    nonlocal state, step
    begun = time.perf_counter()
    for _ in range(steps):
      state, metrics = program(*arguments())
      step += 1
    jax.block_until_ready(metrics)
    return steps * size / (time.perf_counter() - begun)

  traced = make_dispatch(system).lower(*arguments())
  programs = {
    way: traced.compile(compiler_options=options(way, settings))
    for way in given.ways
  }
  for program in programs.values():
    rate = train(program, 3)
  steps = max(1, int(WINDOW * rate / size))
  rates = {way: [] for way in programs}
  end = time.monotonic() + given.seconds
  while time.monotonic() < end:
    for way in given.ways:
      rates[way].append(train(programs[way], steps))
    given.ways.reverse()
  first = next(iter(programs))
  for way, found in rates.items():
    beside = (a / b for a, b in zip(found, rates[first], strict=True))
    print(
      f"{given.case}  {way}  {statistics.median(found):,.1f} examples/s "
      f"({min(found):,.1f}–{max(found):,.1f})  {statistics.median(beside):.3f}"
    )


if __name__ == "__main__":
  main()
