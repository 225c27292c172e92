"""Time PyTorch's training steps on a GPU: faces 9 and 15, the 64×64 VAE.

The models are those of peers/; the columns lie on the device, as ours do. A
JSON line for each setting. It exits with 0 and prints nothing without PyTorch.
"""

import argparse
import functools
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))

try:
  import torch
except ImportError:
  sys.exit(0)

import timing
import torch_common as common
import torch_compare
import torch_faces

SETTINGS = [  # layout, precision
  ("channels_last", "tf32"),
  ("channels_last", "float32"),
  ("channels_last", "bfloat16"),  # automatic mixed precision
  ("eager", "tf32"),
]


def families(dry: bool):
  """List (name, make_model, columns, batch)."""
  found = [("compare vae", torch_compare.VAE, timing.random_compare(), 64)]
  for number in (9,) if dry else (15, 9):
    rung = timing.FACES[number]
    make = functools.partial(
      torch_faces.Faces, latents=rung.latents, weight=rung.weight
    )
    found.append((f"faces {number}", make, timing.random_faces(), 32))
  return found


def make_step(make_model, columns, batch, layout, precision, device):
  """Build a training step of a fresh random batch; returns the loss."""
  torch.manual_seed(0)
  fast = precision != "float32"
  torch.backends.cuda.matmul.allow_tf32 = fast
  torch.backends.cudnn.allow_tf32 = fast
  torch.backends.cudnn.benchmark = True
  setting = common.Setting(layout)
  model = make_model(setting)
  model.apply(common.initialise)
  model.to(device)
  if setting.channels_last:
    model.to(memory_format=torch.channels_last)
  images, conditions = (torch.from_numpy(c).to(device) for c in columns)
  adam = torch.optim.Adam(model.parameters(), lr=2e-4, eps=1e-7, fused=True)

  def step():
    rows = torch.randint(len(images), (batch,), device=device)
    adam.zero_grad(set_to_none=True)
    with torch.autocast(
      device, dtype=torch.bfloat16, enabled=precision == "bfloat16"
    ):
      loss = model(images[rows], conditions[rows])
    loss.backward()
    adam.step()
    return loss.detach()

  return step


def measure(step, arguments):
  """Return the milliseconds a step of each window, and the last loss."""
  for _ in range(1 if arguments.dry else 15):
    float(step())
  start = time.perf_counter()
  float(step())
  taken = time.perf_counter() - start
  calls = 1 if arguments.dry else max(1, round(arguments.seconds / taken))
  windows = []
  for _ in range(1 if arguments.dry else arguments.windows):
    start = time.perf_counter()
    for _ in range(calls):
      loss = step()
    loss = float(loss)
    windows.append((time.perf_counter() - start) / calls * 1e3)
  return windows, loss


def main():
  """Time all settings of all families."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--dry", action="store_true")
  parser.add_argument("--seconds", type=float, default=0.4)
  parser.add_argument("--windows", type=int, default=5)
  arguments = parser.parse_args()
  device = "cuda" if torch.cuda.is_available() else "cpu"
  for name, make_model, columns, batch in families(arguments.dry):
    for layout, precision in SETTINGS[:1] if arguments.dry else SETTINGS:
      if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
      step = make_step(make_model, columns, batch, layout, precision, device)
      windows, loss = measure(step, arguments)
      row = {
        "family": name,
        "precision": precision,
        "setting": layout,
        "batch": batch,
        "ms": statistics.median(windows),
        "windows_ms": windows,
        "examples_per_second": batch / statistics.median(windows) * 1e3,
        "last_loss": loss,
        "version": torch.__version__,
      }
      if device == "cuda":
        row["mib"] = torch.cuda.max_memory_allocated() / 2**20
      print(json.dumps(row), flush=True)


if __name__ == "__main__":
  main()
