"""Say what a comparison measured: the table, the ratios, what disturbed it."""

import dataclasses
import json
import os
import pathlib
import platform

OURS = "ours"
TENSORFLOW = "TensorFlow"
PYTORCH = "PyTorch"
QUIET = 0.1  # cores that others may use before the table says so


def join_windows(lines):
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


def table(medians, lines):
  """Return the rows of the table, one a contender."""
  ours = max((m for c, m in medians.items() if c.framework == OURS), default=0)
  rows = [
    f"{'contender':<12}{'setting':<32}{'examples/s':>11}"
    f"{'min–max':>18}{'ours/that':>11}{'MiB':>7}"
  ]
  for contender, median in medians.items():
    rates = join_windows(lines[contender])
    spread = f"{min(rates):.1f}–{max(rates):.1f}"
    ratio = f"{ours / median:.2f}" if ours else "-"
    peak = max(line["peak_rss_mib"] for line in lines[contender])
    rows.append(
      f"{contender.framework:<12}{contender.label:<32}{median:>11.1f}"
      f"{spread:>18}{ratio:>11}{peak:>7.0f}"
    )
  return rows


def verdicts(medians):
  """Return lines of ours over each peer's best, by kind of setting.

  A peer's own operations are what its users run; the settings in "_bits"
  replace its dropout by masks written by hand, as ours are.
  """
  ours = max((m for c, m in medians.items() if c.framework == OURS), default=0)
  lines = []
  for peer in (TENSORFLOW, PYTORCH):
    for kind, by_hand in (("own operations", False), ("masks by hand", True)):
      best = [
        median
        for contender, median in medians.items()
        if contender.framework == peer
        and contender.setting.endswith("_bits") == by_hand
      ]
      if ours and best:
        lines.append(f"ours / {peer} ({kind}) = {ours / max(best):.2f}")
  return lines


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
