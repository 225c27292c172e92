"""Run contenders in turn, one process alive at a time, and compare them.

Speeds drift between runs by 5–15 %, so every contender runs once a round, and
only ratios of one run of this driver count.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS, TENSORFLOW, PYTORCH = "ours", "TensorFlow", "PyTorch"
CHOICES = {"ours": OURS, "tensorflow": TENSORFLOW, "torch": PYTORCH}
PASSED = ("steps", "windows", "warmup", "batch", "model")
QUIET = 0.1  # cores that others may use before the table says so
MALLOC_KEYS = (
  "LD_PRELOAD",
  "MIMALLOC_PURGE_DELAY",
  "MIMALLOC_ALLOW_LARGE_OS_PAGES",
)


@dataclasses.dataclass(frozen=True)
class Contender:
  """Name a script, one of its settings and the allocator it runs with."""

  framework: str
  script: str
  setting: str = ""  # empty: the script's default
  default: bool = True  # False: runs only when --settings=all asks for it
  malloc: str = ""

  @property
  def label(self):
    """Describe the setting and, where it was tuned, the allocator."""
    return " ".join(filter(None, [self.setting or "default", self.malloc]))


def parse_arguments(title, argv=None, models=(), **defaults):
  """Parse the command line shared by all benchmarks; models[0] is default."""
  parser = argparse.ArgumentParser(description=title)
  parser.add_argument("--peers", default=".venv-peers/bin/python")
  parser.add_argument("--only", default=",".join(CHOICES), help="%(default)s")
  parser.add_argument("--settings", choices=["default", "all"])
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
    parser.add_argument("--model", type=int, choices=models, default=models[0])
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


def find_mimalloc():
  """Return the path of the mimalloc library installed here, or None."""
  packages = pathlib.Path(sysconfig.get_path("purelib"))
  library = packages / "cmeel.prefix" / "lib" / "libmimalloc.so"
  return library if library.exists() else None


def select(contenders, arguments, mimalloc):
  """Filter the contenders and give each its allocator or allocators."""
  wanted = {CHOICES[name] for name in arguments.only}
  selected = []
  for contender in contenders:
    if contender.framework not in wanted:
      continue
    if not contender.default and arguments.settings != "all":
      continue
    mallocs = ["mimalloc" if mimalloc else ""]
    if arguments.both_mallocs and mimalloc and contender.framework != OURS:
      mallocs.append("")
    for malloc in mallocs:
      selected.append(dataclasses.replace(contender, malloc=malloc))
  return selected


def environment(contender, mimalloc):
  """Return the variables of a contender's process."""
  values = {k: v for k, v in os.environ.items() if k not in MALLOC_KEYS}
  if contender.malloc:
    values |= zip(MALLOC_KEYS, (str(mimalloc), "-1", "1"), strict=True)
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
  before, start = cpu_seconds(), time.perf_counter()
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


def windows_of(lines):
  """Join the windows of a contender's rounds."""
  return [rate for line in lines for rate in line["windows"]]


def machine(cores):
  """Describe the processor and the cores in use."""
  name = platform.processor() or platform.machine()
  info = pathlib.Path("/proc/cpuinfo")
  if info.exists():
    models = [s for s in info.read_text().splitlines() if "model name" in s]
    name = models[0].split(":", 1)[1].strip() if models else name
  return f"{name}, {cores} of {os.cpu_count()} cores"


def restrict(cores):
  """Keep this process and its children on the first cores it may use."""
  if not hasattr(os, "sched_setaffinity"):
    return os.cpu_count()
  usable = sorted(os.sched_getaffinity(0))[:cores]
  os.sched_setaffinity(0, usable)
  return len(usable)


def table(medians, lines):
  """Return the rows of the table, one a contender."""
  ours = max((m for c, m in medians.items() if c.framework == OURS), default=0)
  rows = [
    f"{'contender':<12}{'setting':<32}{'examples/s':>11}"
    f"{'min–max':>18}{'ours/that':>11}{'MiB':>7}"
  ]
  for contender, median in medians.items():
    rates = windows_of(lines[contender])
    spread = f"{min(rates):.1f}–{max(rates):.1f}"
    ratio = f"{ours / median:.2f}" if ours else "-"
    peak = max(line["peak_rss_mib"] for line in lines[contender])
    rows.append(
      f"{contender.framework:<12}{contender.label:<32}{median:>11.1f}"
      f"{spread:>18}{ratio:>11}{peak:>7.0f}"
    )
  return rows


def verdicts(medians):
  """Return one line a peer, against the best of its settings."""
  best = {}
  for contender, median in medians.items():
    name = contender.framework
    best[name] = max(best.get(name, 0), median)
  return [
    f"ours / {peer} (best setting) = {best[OURS] / best[peer]:.2f}"
    for peer in (TENSORFLOW, PYTORCH)
    if OURS in best and peer in best
  ]


def load_warning(lines):
  """Return a warning, in a list, if other processes disturbed the runs."""
  worst = max(
    (line["others_cores"] for runs in lines.values() for line in runs),
    default=0,
  )
  if worst <= QUIET:
    return []
  return [f"Not quiet: other processes used up to {worst:.2f} cores."]


def versions(lines):
  """Return the frameworks' versions, as they report them."""
  found = {
    f"{line['framework']} {line['version']}"
    for runs in lines.values()
    for line in runs
  }
  return ", ".join(sorted(found))


def save(path, header, lines):
  """Write every JSON line, with its contender, to a file."""
  runs = [
    dataclasses.asdict(contender) | {"runs": results}
    for contender, results in lines.items()
  ]
  record = {"machine": header, "contenders": runs}
  path.write_text(json.dumps(record, indent=2) + "\n")


def main(title, contenders, argv=None, **options):
  """Compare the contenders and print the table; return the exit status.

  The options are those of parse_arguments.
  """
  arguments = parse_arguments(title, argv, **options)
  if "model" in arguments:
    title += f", model {arguments.model}"
  mimalloc = find_mimalloc()
  header = machine(restrict(arguments.cores))
  chosen = select(contenders, arguments, mimalloc)
  lines = run_rounds(chosen, arguments, mimalloc)
  medians = {
    contender: statistics.median(windows_of(runs))
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
