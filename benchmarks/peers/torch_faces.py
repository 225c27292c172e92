"""Time a training step of the faces models 9 and 15 in PyTorch.

"Same" padding of 4×4 kernels is uneven where the stride is 1: the input of the
encoder's last convolution is padded, and the decoder's last output cut.
"""

import functools
import math

import timing
import torch
import torch_common as common
from torch import nn
from torch.nn import functional as F

CONDITION = 5
MAPS = (15, 15, 120), (30, 30, 80), (60, 60, 60), (120, 120, 40)


class Encoder(nn.Module):
  """Map images and conditions to a mean and a log-variance."""

  def __init__(self, setting, latents):
    super().__init__()
    self.setting = setting
    self.conv0 = nn.Conv2d(3, 32, 4, stride=2, padding=1)
    self.conv1 = nn.Conv2d(32, 48, 4, stride=2, padding=1)
    self.conv2 = nn.Conv2d(48, 64, 4, stride=2, padding=1)
    self.conv3 = nn.Conv2d(64, 96, 4)
    self.dense = nn.Linear(15 * 15 * 96 + CONDITION, 192)
    self.side = nn.Linear(120 * 120 * 3 + CONDITION, 64)
    self.stream0 = nn.Linear(60 * 60 * 32 + CONDITION, 64)
    self.stream1 = nn.Linear(30 * 30 * 48 + CONDITION, 64)
    joined = 192 + 3 * 64 + CONDITION
    self.mean = nn.Linear(joined, latents)
    self.logvar = nn.Linear(joined, latents)

  def forward(self, image, condition):
    """Return mean and log-variance, both [batch, latents]."""
    first = self.setting.drop(F.silu(self.conv0(image)))
    second = self.setting.drop(F.silu(self.conv1(first)))
    x = self.setting.drop(F.silu(self.conv2(second)))
    x = F.silu(self.conv3(F.pad(x, (1, 2, 1, 2))))
    paths = [
      (self.dense, x),
      (self.side, image),
      (self.stream0, first),
      (self.stream1, second),
    ]
    joined = [
      F.silu(dense(torch.cat([self.setting.flatten(x), condition], dim=1)))
      for dense, x in paths
    ]
    x = torch.cat([*joined, condition], dim=1)
    return torch.tanh(self.mean(x)), torch.tanh(self.logvar(x))


class Decoder(nn.Module):
  """Map latents and conditions to images."""

  def __init__(self, setting, latents):
    super().__init__()
    self.setting = setting
    code = latents + CONDITION
    self.dense0 = nn.Linear(code, 256)
    self.dense1 = nn.Linear(256, math.prod(MAPS[0]))
    self.shortcuts = nn.ModuleList(
      nn.Linear(code, math.prod(shape)) for shape in MAPS
    )
    double = {"stride": 2, "padding": 1}
    self.conv0 = nn.ConvTranspose2d(120, 80, 4, **double)
    self.conv1 = nn.ConvTranspose2d(80, 60, 4, **double)
    self.conv2 = nn.ConvTranspose2d(60, 40, 4, **double)
    self.conv3 = nn.ConvTranspose2d(40, 3, 4, padding=1)

  def forward(self, latent, condition):
    """Return images [batch, 3, 120, 120]."""
    code = torch.cat([latent, condition], dim=1)

    def shortcut(i):
      rows = F.silu(self.shortcuts[i](code))
      return self.setting.unflatten(rows, *MAPS[i])

    x = F.silu(self.dense1(F.silu(self.dense0(code))))
    x = self.setting.unflatten(x, *MAPS[0]) + shortcut(0)
    x = self.setting.drop(F.silu(self.conv0(x))) + shortcut(1)
    x = self.setting.drop(F.silu(self.conv1(x))) + shortcut(2)
    x = self.setting.drop(F.silu(self.conv2(x))) + shortcut(3)
    return F.silu(self.conv3(x)[:, :, :-1, :-1])


class Faces(nn.Module):
  """Compute the training loss of the conditional VAE."""

  def __init__(self, setting, latents, weight):
    super().__init__()
    self.weight = weight
    self.encoder = Encoder(setting, latents)
    self.decoder = Decoder(setting, latents)

  def forward(self, image, condition):
    """Return the scalar loss of uint8 images [batch, 120, 120, 3]."""
    target = image.permute(0, 3, 1, 2).float() * (1 / 255)
    if not self.encoder.setting.channels_last:
      target = target.contiguous()
    mean, logvar = self.encoder(target, condition)
    value = self.decoder(common.sample(mean, logvar), condition)
    error = self.weight * F.mse_loss(value, target)
    return error + common.kl(mean, logvar) + common.penalty(self)


def main():
  """Time the chosen model in the chosen setting."""
  arguments = timing.parse_faces_arguments(common.SETTINGS)
  faces = timing.FACES[arguments.model]
  common.run(
    arguments,
    functools.partial(Faces, latents=faces.latents, weight=faces.weight),
    timing.random_faces(),
    faces.parameters,
    rate=2e-4,
  )


if __name__ == "__main__":
  main()
