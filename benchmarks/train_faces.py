"""Compare training steps of the faces models 9 and 15, fp32, with both peers.

Model 15 unless --model=9.
"""

import sys

import driver
from driver import OURS, PYTORCH, TENSORFLOW, Contender

OUR_SCRIPT = "benchmarks/ours_faces.py"
TORCH = "benchmarks/peers/torch_faces.py"
TF = "benchmarks/peers/tensorflow_faces.py"
CONTENDERS = [
  Contender(OURS, OUR_SCRIPT, "default"),
  Contender(OURS, OUR_SCRIPT, "threefry_dropout", default=False),
  Contender(OURS, OUR_SCRIPT, "lax_convolutions", default=False),
  Contender(TENSORFLOW, TF, "graph"),
  Contender(TENSORFLOW, TF, "graph_bits"),
  Contender(TENSORFLOW, TF, "xla", default=False),
  Contender(PYTORCH, TORCH, "eager"),
  Contender(PYTORCH, TORCH, "channels_last"),
  Contender(PYTORCH, TORCH, "channels_last_bits"),
  Contender(PYTORCH, TORCH, "compile", default=False),
  Contender(PYTORCH, TORCH, "compile_channels_last", default=False),
]

if __name__ == "__main__":
  title = "Faces training step, fp32"
  sys.exit(driver.main(title, CONTENDERS, models=(15, 9), rounds=2))
