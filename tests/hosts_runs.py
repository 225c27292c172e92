"""Starts the processes of one training on this machine, for hosts_test."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks import soak_resume as soak
from tests import small, small_zoo

ALONE = {  # each process has one device
  "JAX_PLATFORMS": "cpu",
  "CVAE_JAX_TUNE": "0",
  "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
  "XLA_FLAGS": "",
}
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


def start(data: Path, workdir: Path, processes: int = 2, **changes):
  """Start launch.train in `processes` processes: [Popen]."""
  values = SMALL | {"mesh": 0, "data.path": str(data)} | changes
  words = [f"--config={PAGE}", *soak.overrides(values)]
  together = [f"--coordinator=localhost:{port()}", f"--processes={processes}"]
  return [
    subprocess.Popen(
      [
        *(sys.executable, "-m", "launch.train", *words, *together),
        *(f"--process={index}", f"--workdir={workdir}"),
      ],
      cwd=small.ROOT,
      env=os.environ | ALONE,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for index in range(processes)
  ]


def end(processes) -> list[tuple[int, str]]:
  """Wait for processes: (exit status, what it said) of each."""
  try:
    said = [process.communicate(timeout=120)[0] for process in processes]
  finally:
    for process in processes:
      process.kill()
  return list(zip([p.returncode for p in processes], said, strict=True))
