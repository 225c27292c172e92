"""Faults put to the product on purpose, and verdicts on how it takes them.

    python -m benchmarks.faults [--group=disk,kill] [--quick] [--jobs=2]

A fault is a name, a group, an action that sets the fault up and does what a
user would do, and a judge of what came of it. `case` has their types, `judges`
the verdicts, `room` the folder that each works in. One module a group holds
the faults themselves.
"""

import importlib

from benchmarks.faults.case import Fault

GROUPS = {
  "corruption": (
    "corruption",
    "corruption_bits",
    "corruption_runs",
    "corruption_commands",
  ),
  "data": ("data_digits", "data_photos", "data_resumed", "data_more"),
  "security": ("security",),
  "numerics": ("numerics", "numerics_arrays", "numerics_flags"),
  "environment": ("environment", "environment_paths", "environment_more"),
  "kill": ("kill",),
  "disk": ("disk",),
  "concurrency": ("concurrency",),
}


def catalogue(groups: list[str] | None = None) -> dict[str, Fault]:
  """Return the faults of these groups, or of all, by name."""
  found = {}
  for group in groups or GROUPS:
    for name in GROUPS[group]:
      module = importlib.import_module(f"{__name__}.{name}")
      for fault in module.faults():
        assert fault.name not in found, f"two faults are named {fault.name}"
        assert fault.group == group, f"{fault.name} is of {fault.group}"
        found[fault.name] = fault
  return found
