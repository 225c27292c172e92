"""Time a training step of the 64×64 VAE of configs/compare.py in PyTorch."""

import itertools

import timing
import torch_common as common
from torch import nn
from torch.nn import functional as F

SETTINGS = [
  "channels_last",
  "eager",
  "compile",
  "compile_channels_last",
  "bfloat16_channels_last",
]
WIDTHS = (64, 128, 256, 512)
LATENTS = 128
SLOPE = 0.2
HALF = {"kernel_size": 4, "stride": 2, "padding": 1}
MAP = (4, 4, 512)


def encoder():
  """Stack the convolutions; all but the first are normalised."""
  layers = [nn.Conv2d(3, WIDTHS[0], **HALF), nn.LeakyReLU(SLOPE, inplace=True)]
  for before, after in itertools.pairwise(WIDTHS):
    layers += [
      nn.Conv2d(before, after, bias=False, **HALF),
      nn.BatchNorm2d(after),
      nn.LeakyReLU(SLOPE, inplace=True),
    ]
  return nn.Sequential(*layers)


def decoder():
  """Stack the transposed convolutions; all but the last are normalised."""
  layers = [nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU(inplace=True)]
  for before, after in itertools.pairwise(reversed(WIDTHS)):
    layers += [
      nn.ConvTranspose2d(before, after, bias=False, **HALF),
      nn.BatchNorm2d(after),
      nn.ReLU(inplace=True),
    ]
  return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTHS[0], 3, **HALF))


class VAE(nn.Module):
  """Compute the training loss."""

  def __init__(self, setting):
    super().__init__()
    self.setting = setting
    self.encoder = encoder()
    self.decoder = decoder()
    self.mean = nn.Linear(4 * 4 * 512, LATENTS)
    self.logvar = nn.Linear(4 * 4 * 512, LATENTS)
    self.dense = nn.Linear(LATENTS, 4 * 4 * 512)

  def forward(self, image, _):
    """Return the scalar loss of uint8 images [batch, 64, 64, 3]."""
    target = image.permute(0, 3, 1, 2).float() * (1 / 255)
    if not self.setting.channels_last:
      target = target.contiguous()
    x = self.setting.flatten(self.encoder(target))
    mean = self.mean(x)
    logvar = self.logvar(x)
    x = self.dense(common.sample(mean, logvar))
    logits = self.decoder(self.setting.unflatten(x, *MAP))
    nats = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return nats / len(image) + common.kl(mean, logvar)


def main():
  """Time the VAE in the chosen setting."""
  common.run(
    timing.parse_compare_arguments(SETTINGS),
    VAE,
    timing.random_compare(),
    timing.COMPARE_PARAMETERS,
    rate=2e-4,
  )


if __name__ == "__main__":
  main()
