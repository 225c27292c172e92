"""Compare training steps of the 64×64 VAE, batch 64, fp32, with both peers."""

import sys

import contenders
import driver
import report

OURS = (report.OURS, "benchmarks/ours_compare.py")
TENSORFLOW = (report.TENSORFLOW, "benchmarks/peers/tensorflow_compare.py")
TORCH = (report.PYTORCH, "benchmarks/peers/torch_compare.py")

if __name__ == "__main__":
  chosen = [
    contenders.Contender(*OURS, "default"),
    contenders.Contender(*OURS, "lax_convolutions", default=False),
    contenders.Contender(*OURS, "bfloat16", default=False),
    contenders.Contender(*TENSORFLOW, "graph"),
    contenders.Contender(*TENSORFLOW, "xla", default=False),
    contenders.Contender(*TORCH, "eager"),
    contenders.Contender(*TORCH, "channels_last"),
    contenders.Contender(*TORCH, "compile", default=False),
    contenders.Contender(*TORCH, "bfloat16_channels_last", default=False),
  ]
  title = "Training step of the 64×64 VAE, fp32"
  sys.exit(driver.main(title, chosen, rounds=2))
