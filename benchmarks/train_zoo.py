"""Compare training steps of the zoo's MLPs at batch 128, fp32, with PyTorch.

The VAE unless --model=scvae or --model=aae.
"""

import sys

import driver

OURS = (driver.OURS, "benchmarks/ours_zoo.py")
TORCH = (driver.PYTORCH, "benchmarks/peers/torch_zoo.py")

if __name__ == "__main__":
  contenders = [
    driver.Contender(*OURS, "default"),
    driver.Contender(*OURS, "threefry_dropout", default=False),
    driver.Contender(*TORCH, "eager"),
    driver.Contender(*TORCH, "eager_bits"),
    driver.Contender(*TORCH, "compile", default=False),
  ]
  title, models = "Zoo training step, fp32", ("vae", "scvae", "aae")
  sys.exit(driver.main(title, contenders, models=models))
