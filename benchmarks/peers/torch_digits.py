"""Time a training step of the digits model in PyTorch.

Strides of 2 pad (1, 0) here where TensorFlow's "same" pads (0, 1): the mirror
image, with the same shapes and the same work, and without the extra copy that
an explicit pad would cost PyTorch.
"""

import timing
import torch
import torch_common as common
from torch import nn
from torch.nn import functional as F

LATENT = 40
CONDITION = 11
SIDE = 64
GREY = 0.01


class Encoder(nn.Module):
  """Map images and conditions to a mean and a log-variance."""

  def __init__(self, setting):
    super().__init__()
    self.setting = setting
    self.conv1 = nn.Conv2d(1, 32, 3, stride=2, padding=1)
    self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
    self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
    self.dense = nn.Linear(7 * 7 * 128 + CONDITION, 256)
    self.side = nn.Linear(784, SIDE)
    self.mean = nn.Linear(256 + SIDE, LATENT)
    self.logvar = nn.Linear(256 + SIDE, LATENT)

  def forward(self, image, condition):
    """Return mean and log-variance, both [batch, 40]."""
    x = self.setting.drop(F.relu_(self.conv1(image)))
    x = self.setting.drop(F.relu_(self.conv2(x)))
    x = F.relu_(self.conv3(x))
    x = torch.cat([self.setting.flatten(x), condition], dim=1)
    x = F.relu_(self.dense(x))
    side = F.relu_(self.side(image.flatten(1)))
    x = torch.cat([x, side], dim=1)
    return self.mean(x), self.logvar(x)


class Decoder(nn.Module):
  """Map latents and conditions to images."""

  def __init__(self, setting):
    super().__init__()
    self.setting = setting
    double = {"stride": 2, "padding": 1, "output_padding": 1}
    self.dense1 = nn.Linear(LATENT + CONDITION, 320)
    self.dense2 = nn.Linear(320, 7 * 7 * 160)
    self.conv1 = nn.ConvTranspose2d(160, 80, 3, **double)
    self.conv2 = nn.ConvTranspose2d(80, 40, 3, **double)
    self.conv3 = nn.ConvTranspose2d(40, 1, 3, padding=1)

  def forward(self, latent, condition):
    """Return images [batch, 1, 28, 28]."""
    x = F.relu_(self.dense1(torch.cat([latent, condition], dim=1)))
    x = self.setting.unflatten(F.relu_(self.dense2(x)), 7, 7, 160)
    x = self.setting.drop(F.relu_(self.conv1(x)))
    x = self.setting.drop(F.relu_(self.conv2(x)))
    return F.relu_(self.conv3(x))


class Digits(nn.Module):
  """Compute the training loss of the conditional VAE."""

  def __init__(self, setting):
    super().__init__()
    self.encoder = Encoder(setting)
    self.decoder = Decoder(setting)

  def forward(self, image, condition):
    """Return the scalar loss of uint8 images [batch, 28, 28]."""
    target = image.unsqueeze(1).float() * (1 / 255)
    mean, logvar = self.encoder(target, condition)
    value = self.decoder(common.sample(mean, logvar), condition)
    error = F.mse_loss(value, target, reduction="sum") / len(image)
    grey = F.relu(value * (1 - value)).sum()
    return error + common.kl(mean, logvar) + GREY * grey + common.penalty(self)


if __name__ == "__main__":
  common.run(
    timing.parse_arguments(common.SETTINGS),
    Digits,
    timing.random_digits(),
    timing.DIGITS_PARAMETERS,
    rate=1e-3,
  )
