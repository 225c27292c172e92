"""Compare training steps of the zoo's MLPs at batch 128, fp32, with PyTorch.

The VAE unless --model=scvae or --model=aae.
"""

import sys

import contenders
import driver
import report

OURS = (report.OURS, "benchmarks/ours_zoo.py")
TORCH = (report.PYTORCH, "benchmarks/peers/torch_zoo.py")

if __name__ == "__main__":
  chosen = [
    contenders.Contender(*OURS, "default"),
    contenders.Contender(*OURS, "threefry_dropout", default=False),
    contenders.Contender(*TORCH, "eager"),
    contenders.Contender(*TORCH, "eager_bits"),
    contenders.Contender(*TORCH, "compile", default=False),
  ]
  title = "Zoo training step, fp32"
  models = ("vae", "scvae", "aae")
  sys.exit(driver.main(title, chosen, models=models))
