"""Starts the processes of one training on this machine, for hosts_test."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks import soak_resume as soak
from tests import small, small_zoo

PAGE = "configs/zoo.py:vae"
SMALL = small_zoo.widths("vae") | {
  "batch_size": 16,
  "epochs": 2,
  "log_every": 5,
  "checkpoint_every": 10,
  "evaluate_every_epochs": 2,
}


def port() -> int:
  """Return a port that is free now."""
  with socket.socket() as server:
    server.bind(("localhost", 0))
    return server.getsockname()[1]


def start(
  data: Path, workdir: Path, processes: int = 2, slurm: bool = False, **changes
):
  """Start launch.train in `processes` processes: [Popen].

  Args:
    slurm: find each other by Slurm's variables and not by flags.
  """
  values = SMALL | {"mesh": 0, "data.path": str(data)} | changes
  words = [f"--config={PAGE}", *soak.overrides(values)]
  free = port()
  begun = []
  for index in range(processes):
    together = [f"--coordinator=localhost:{free}", f"--process={index}"]
    together = [] if slurm else [*together, f"--processes={processes}"]
    task = step_of_slurm(index, processes, free) if slurm else {}
    begun.append(
      subprocess.Popen(
        [
          *(sys.executable, "-m", "launch.train", *words, *together),
          f"--workdir={workdir}",
        ],
        cwd=small.ROOT,
        env=os.environ | task,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
      )
    )
  return begun


def step_of_slurm(index: int, tasks: int, free: int) -> dict[str, str]:
  """Return what srun sets for a task of a step on one node."""
  return {
    "JAX_COORDINATOR_PORT": str(free),
    "SLURM_JOB_ID": "7",
    "SLURM_LOCALID": str(index),
    "SLURM_NTASKS": str(tasks),
    "SLURM_PROCID": str(index),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_TASKS": str(tasks),
    "SLURM_STEP_TASKS_PER_NODE": str(tasks),
  }


def end(processes) -> list[tuple[int, str]]:
  """Wait for processes: (exit status, what it said) of each."""
  try:
    said = [process.communicate(timeout=120)[0] for process in processes]
  finally:
    for process in processes:
      process.kill()
  return list(zip([p.returncode for p in processes], said, strict=True))
