"""Compare training steps of the 64×64 VAE, batch 64, fp32, with both peers."""

import sys

import driver

OURS = (driver.OURS, "benchmarks/ours_compare.py")
TENSORFLOW = (driver.TENSORFLOW, "benchmarks/peers/tensorflow_compare.py")
TORCH = (driver.PYTORCH, "benchmarks/peers/torch_compare.py")

if __name__ == "__main__":
  contenders = [
    driver.Contender(*OURS, "default"),
    driver.Contender(*OURS, "lax_convolutions", default=False),
    driver.Contender(*TENSORFLOW, "graph"),
    driver.Contender(*TENSORFLOW, "xla", default=False),
    driver.Contender(*TORCH, "eager"),
    driver.Contender(*TORCH, "channels_last"),
    driver.Contender(*TORCH, "compile", default=False),
  ]
  title = "Training step of the 64×64 VAE, fp32"
  sys.exit(driver.main(title, contenders, rounds=2))
