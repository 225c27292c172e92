"""Time the training steps of every family on an accelerator; a table, a JSON.

    python benchmarks/gpu.py --out=gpu.json            # a GPU: ten minutes
    python benchmarks/gpu.py --dry                     # two steps each, on CPU

It needs jax, flax, optax, numpy and ml_collections, and times PyTorch beside it
where that is installed. Each program is compiled by a process of its own, a few
at once; they are timed one by one afterwards, when nothing else runs. To
compile 17 programs takes minutes, whatever a step takes: XLA tries out many
kernels for each convolution.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# Many processes share the card; none takes most of its memory in advance.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpu_cases as cases
import gpu_layers as layers
import gpu_tables as tables
from gpu_cases import Case

HERE = Path(__file__).parent
READY = "ready"
SLOW = {"faces 15", "compare wgan_gp", "colour 2"}  # not in a dry run


def parse(argv=None):
  """Parse the command line."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--dry", action="store_true", help="two steps of each")
  parser.add_argument("--out", type=Path, help="write the JSON here")
  parser.add_argument("--seconds", type=float, default=0.4, help="a window")
  parser.add_argument("--windows", type=int, default=5)
  parser.add_argument("--case", default="", help="what a child of it times")
  parser.add_argument("--at_once", type=int, default=4, help="compilations")
  parser.add_argument("--threads", type=int, default=12, help="for layers")
  parser.add_argument(
    "--budget", type=float, default=1e9, help="seconds in all"
  )
  parser.add_argument("--only", default="", help="families, joined by commas")
  parser.add_argument(
    "--parts", default="steps,layers,torch", help="joined by commas"
  )
  return parser.parse_args(argv)


def choose_cases(arguments) -> list[Case]:
  """List the cases."""
  families = [f for f in arguments.only.split(",") if f] or list(cases.PAGES)
  found = [Case(f, "tf32") for f in cases.PAGES]
  precisions = ["float32", *["bfloat16"] * cases.has_bfloat16()]
  some = ("faces 15", "digits", "compare vae")
  found += [Case(f, p) for p in precisions for f in some[::2]]
  found += [Case(f, "tf32", form="matmul") for f in some]
  found += [Case("faces 15", "tf32", resident=False)]
  found += [Case(f, "tf32", dispatch=20) for f in ("zoo m2",)]
  found = [case for case in found if case.family in families]
  if arguments.dry:
    found = [case for case in found if case.family not in SLOW]
  return found


def stand_ready(arguments) -> None:
  """Compile one case, say so, wait for the word and time it: a child's life."""
  case = Case(**json.loads(arguments.case))
  program = cases.compile_(case, *cases.lower(case))
  print(READY, flush=True)
  sys.stdin.readline()
  print(json.dumps(cases.time_program(program, arguments)), flush=True)
  os._exit(0)  # at once: the next in turn waits


def start(case: Case, arguments) -> subprocess.Popen:
  """Start a process that compiles a case."""
  line = [sys.executable, __file__, f"--case={json.dumps(case._asdict())}"]
  line += [f"--seconds={arguments.seconds}", f"--windows={arguments.windows}"]
  line += ["--dry"] if arguments.dry else []
  return subprocess.Popen(
    line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
  )


def run_steps(arguments, deadline) -> list[dict]:
  """Compile each case in a process, a few at once; then time one by one."""
  end = time.monotonic() + 0.7 * (deadline - time.monotonic())
  turn = threading.Semaphore(arguments.at_once)
  processes: dict[Case, subprocess.Popen] = {}
  ready: list[Case] = []

  def prepare(case):
    with turn:
      if time.monotonic() > end:
        return
      processes[case] = start(case, arguments)
      for line in processes[case].stdout:
        if line.strip() == READY:
          ready.append(case)
          return

  found = choose_cases(arguments)
  threads = [
    threading.Thread(target=prepare, args=(case,), daemon=True)
    for case in found
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(max(0.0, end - time.monotonic()))
  in_time = [case for case in found if case in ready]
  for case in found:  # whoever still compiles would disturb the clock
    if case not in in_time:
      print(f"{tuple(case)}: not compiled in time", file=sys.stderr)
      if case in processes:
        processes[case].kill()
  return [
    row
    for case in in_time
    for row in finish(case, processes[case], time.monotonic() < deadline)
  ]


def finish(case: Case, process: subprocess.Popen, timed: bool) -> list[dict]:
  """Have a process time its case and end; only end where no time is left."""
  if not timed:
    process.kill()
    return []
  said, _ = process.communicate("go\n")
  rows = [json.loads(s) for s in said.splitlines() if s.startswith("{")]
  shown = f"{rows[0]['ms']:.3f} ms" if rows else "failed"
  print(f"{tuple(case)}: {shown}", file=sys.stderr, flush=True)
  return rows


def run_torch(arguments, deadline) -> list[dict]:
  """Time PyTorch in a process of its own, where it is installed."""
  line = [sys.executable, str(HERE / "gpu_torch.py")]
  line += [f"--seconds={arguments.seconds}", f"--windows={arguments.windows}"]
  line += ["--dry"] if arguments.dry else []
  with tempfile.TemporaryFile("w+") as file:
    left = min(max(5.0, deadline - time.monotonic()), 1e6)
    with contextlib.suppress(subprocess.TimeoutExpired):
      subprocess.run(line, stdout=file, check=False, timeout=left)
    file.seek(0)
    return [json.loads(row) for row in file if row.startswith("{")]


def main(argv=None) -> int:
  """Time everything, print the tables and write the JSON."""
  arguments = parse(argv)
  begun = time.monotonic()
  if arguments.case:
    stand_ready(arguments)
    return 0
  ends = [begun + share * arguments.budget for share in (0.7, 0.85, 1.0)]
  device = jax.devices()[0]
  record = {
    "device": device.device_kind,
    "jax": jax.__version__,
    "argv": sys.argv[1:] if argv is None else argv,
    "default_matmul_precision": str(jax.config.jax_default_matmul_precision),
  }

  def keep(name, rows):
    record[name] = rows
    record["seconds"] = round(time.monotonic() - begun, 1)
    if arguments.out:
      arguments.out.write_text(json.dumps(record, indent=1) + "\n")

  parts = arguments.parts.split(",")
  print(f"{device.device_kind}, jax {jax.__version__}\n", flush=True)
  if "steps" in parts:
    keep("steps", run_steps(arguments, ends[0]))
    print(tables.markdown(record["steps"], tables.STEPS) + "\n", flush=True)
  if "layers" in parts and time.monotonic() < ends[1]:
    keep("layers", layers.run(arguments, ends[1]))
    print(tables.markdown(record["layers"], tables.LAYERS) + "\n", flush=True)
  if "torch" in parts and time.monotonic() < ends[2]:
    keep("torch", run_torch(arguments, ends[2]))
    print(tables.markdown(record["torch"], tables.TORCH), flush=True)
  return 0


if __name__ == "__main__":
  status = main()
  sys.stdout.flush()
  os._exit(status)  # threads may still compile what there was no time for
