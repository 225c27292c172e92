"""Compare training steps of the digits model, fp32, with both peers."""

import sys

import driver
from driver import OURS, PYTORCH, TENSORFLOW, Contender

OUR_SCRIPT = "benchmarks/ours_digits.py"
TORCH = "benchmarks/peers/torch_digits.py"
TF = "benchmarks/peers/tensorflow_digits.py"
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
  sys.exit(driver.main("Digits training step, fp32", CONTENDERS))
