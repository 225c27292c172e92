"""Run contenders in turn, one process alive at a time, and compare them.

Speeds drift between runs by 5–15 %, so every contender runs once a round, and
only ratios of one run of this driver count.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from contenders import BFLOAT16, CHOICES, select
from report import (
  OURS,
  join_windows,
  load_warning,
  machine,
  save,
  table,
  verdicts,
  versions,
)

from cvae_jax.host import cpu

ROOT = pathlib.Path(__file__).resolve().parent.parent
PASSED = ("steps", "windows", "warmup", "batch", "model")
MALLOC_KEYS = ("LD_PRELOAD", *cpu.MIMALLOC)


def parse_arguments(title, argv=None, models=(), **defaults):
  """Parse the command line shared by all benchmarks; models[0] is default."""
  parser = argparse.ArgumentParser(description=title)
  parser.add_argument("--peers", default=".venv-peers/bin/python")
  parser.add_argument("--only", default=",".join(CHOICES), help="%(default)s")
  parser.add_argument("--settings", choices=["default", "all", BFLOAT16])
  parser.add_argument("--both-mallocs", action="store_true")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--cores", type=int, default=2, help="cores for each")
  parser.add_argument(
    "--timeout", type=float, default=900, help="seconds a run"
  )
  parser.add_argument("--json", type=pathlib.Path, help="write results here")
  for name in PASSED[:4]:
    parser.add_argument(f"--{name}", type=int, help="passed to each contender")
  if models:
    kind = type(models[0])
    parser.add_argument("--model", type=kind, choices=models, default=models[0])
  parser.set_defaults(**defaults)
  arguments = parser.parse_args(argv)
  arguments.only = arguments.only.split(",")
  if unknown := set(arguments.only) - set(CHOICES):
    parser.error(f"--only: unknown {', '.join(sorted(unknown))}")
  arguments.peers = find_peers(arguments)
  return arguments


def find_peers(arguments):
  """Return the absolute path of the peers' interpreter, or exit with 2."""
  # Not resolve(): following the link would leave the virtual environment.
  path = pathlib.Path(os.path.abspath(ROOT / arguments.peers))
  if not path.exists() and arguments.only != ["ours"]:
    message = f"No peers' interpreter at {arguments.peers}; run `make peers`."
    print(message, file=sys.stderr)
    sys.exit(2)
  return str(path)


def environment(contender, mimalloc):
  """Return the variables of a contender's process."""
  values = {k: v for k, v in os.environ.items() if k not in MALLOC_KEYS}
  if contender.malloc:
    values |= {"LD_PRELOAD": str(mimalloc), **cpu.MIMALLOC}
  return values


def command(contender, arguments):
  """Return the command line of a contender."""
  ours = contender.framework == OURS
  line = [sys.executable if ours else arguments.peers, contender.script]
  if contender.setting:
    line.append(f"--setting={contender.setting}")
  for name in PASSED:
    if (value := getattr(arguments, name, None)) is not None:
      line.append(f"--{name}={value}")
  return line


def cpu_seconds():
  """Return CPU seconds used so far by the whole machine and by our children."""
  stat = pathlib.Path("/proc/stat")
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  children = used.ru_utime + used.ru_stime
  if not stat.exists():
    return children, children
  user, nice, system = map(int, stat.read_text().split()[1:4])
  return (user + nice + system) / os.sysconf("SC_CLK_TCK"), children


def run_measured(contender, arguments, mimalloc):
  """Run a contender and note how many cores other processes kept busy.

  Frameworks whose threads spin at barriers lose most of their speed to a
  neighbour, others little, so a table from a busy machine compares nothing.
  """
  before = cpu_seconds()
  start = time.perf_counter()
  line = run_once(contender, arguments, mimalloc)
  seconds = time.perf_counter() - start
  everyone, children = (
    b - a for a, b in zip(before, cpu_seconds(), strict=True)
  )
  if line:
    line["others_cores"] = round(max(0, everyone - children) / seconds, 2)
  return line


def run_once(contender, arguments, mimalloc):
  """Run a contender to its end; return its JSON line, or None if it failed."""
  try:
    done = subprocess.run(
      command(contender, arguments),
      cwd=ROOT,
      env=environment(contender, mimalloc),
      capture_output=True,
      text=True,
      timeout=arguments.timeout,
    )
  except subprocess.TimeoutExpired:
    print(f"  no result in {arguments.timeout:.0f} s", file=sys.stderr)
    return None
  if done.returncode:
    print(done.stderr[-2000:], file=sys.stderr)
    return None
  return json.loads(done.stdout.strip().splitlines()[-1])


def run_rounds(contenders, arguments, mimalloc):
  """Run all contenders in turn; return {contender: JSON lines}."""
  lines = {contender: [] for contender in contenders}
  for turn in range(arguments.rounds):
    for contender in contenders:
      line = run_measured(contender, arguments, mimalloc)
      speed = f"{line['examples_per_second']:.1f}" if line else "failed"
      name = f"{contender.framework} ({contender.label})"
      print(f"round {turn + 1}: {name}: {speed}", file=sys.stderr)
      if line:
        lines[contender].append(line)
  return lines


def restrict(cores):
  """Keep this process and its children on the first cores it may use."""
  if not hasattr(os, "sched_setaffinity"):
    return os.cpu_count()
  usable = sorted(os.sched_getaffinity(0))[:cores]
  os.sched_setaffinity(0, usable)
  return len(usable)


def main(title, contenders, argv=None, **options):
  """Compare the contenders and print the table; return the exit status.

  The options are those of parse_arguments.
  """
  arguments = parse_arguments(title, argv, **options)
  if "model" in arguments:
    title += f", model {arguments.model}"
  mimalloc = cpu.mimalloc()
  header = machine(restrict(arguments.cores))
  chosen = select(contenders, arguments, mimalloc)
  lines = run_rounds(chosen, arguments, mimalloc)
  medians = {
    contender: statistics.median(join_windows(runs))
    for contender, runs in lines.items()
    if runs
  }
  print(f"{title}\n{header}; {versions(lines)}")
  rows = table(medians, lines) + verdicts(medians) + load_warning(lines)
  print("\n".join(rows))
  if arguments.json:
    save(arguments.json, header, lines)
  complete = all(len(runs) == arguments.rounds for runs in lines.values())
  return 0 if complete else 1
