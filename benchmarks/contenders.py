"""Scripts that a benchmark runs in turn: ours and the peers'."""

import dataclasses

from report import (
  OURS,
  PYTORCH,
  TENSORFLOW,
)

CHOICES = {"ours": OURS, "tensorflow": TENSORFLOW, "torch": PYTORCH}
BFLOAT16 = "bfloat16"  # part of the settings that multiply such numbers
MIXED = ("digits", "faces")  # systems that TensorFlow's scripts mix


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


def list_contenders(system):
  """List ours and the peers' scripts of a system, in all their settings."""
  settings = {
    (OURS, f"benchmarks/ours_{system}.py"): (
      ["default"],
      [
        "stored_sigmoids",
        "row_sums",
        "im2col_forward",
        "threefry_dropout",
        "lax_convolutions",
        "default_flags",
        "separate_moments",
        "transposed_depth",
        BFLOAT16,
      ],
    ),
    (TENSORFLOW, f"benchmarks/peers/tensorflow_{system}.py"): (
      ["graph", "graph_bits"],
      ["xla"] + ["bfloat16_graph", "bfloat16_graph_bits"] * (system in MIXED),
    ),
    (PYTORCH, f"benchmarks/peers/torch_{system}.py"): (
      ["eager", "channels_last", "channels_last_bits"],
      [
        "compile",
        "compile_channels_last",
        "bfloat16_channels_last",
        "bfloat16_channels_last_bits",
      ],
    ),
  }
  return [
    Contender(framework, script, setting, default)
    for (framework, script), kinds in settings.items()
    for default, names in zip((True, False), kinds, strict=True)
    for setting in names
  ]


def _is_wanted(contender, settings):
  """Tell whether --settings asks for a contender."""
  if settings == BFLOAT16:  # beside our float32
    ours = contender.framework == OURS and contender.default
    return ours or BFLOAT16 in contender.setting
  return contender.default or settings == "all"


def select(contenders, arguments, mimalloc):
  """Filter the contenders and give each its allocator or allocators."""
  wanted = {CHOICES[name] for name in arguments.only}
  selected = []
  for contender in contenders:
    if contender.framework not in wanted:
      continue
    if not _is_wanted(contender, arguments.settings):
      continue
    mallocs = ["mimalloc" if mimalloc else ""]
    if arguments.both_mallocs and mimalloc and contender.framework != OURS:
      mallocs.append("")
    for malloc in mallocs:
      selected.append(dataclasses.replace(contender, malloc=malloc))
  return selected
