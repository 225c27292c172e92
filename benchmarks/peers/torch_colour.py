"""Time a training step of the colouring model 2 in PyTorch.

The pyramid comes ready, a uint8 [4, 14, 14] a cell: nothing is cut here.
"""

import itertools

import timing
import torch
import torch_common as common
from torch import nn
from torch.nn import functional as F

LATENT = 120
WEIGHT = 2.5
FEATURES = (1, 16, 32, 32, 48, 48)


class Branch(nn.Module):
  """Turn one level of the pyramid into 32 numbers."""

  def __init__(self, setting):
    super().__init__()
    self.setting = setting
    pairs = itertools.pairwise(FEATURES)
    self.convs = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in pairs)
    self.dense = nn.Linear(4 * 4 * 48 + 14 * 14, 96)
    self.code = nn.Linear(96, 32)

  def forward(self, level):
    """Return the code [batch, 32] of levels [batch, 1, 14, 14]."""
    x = level
    for conv in self.convs:
      x = self.setting.drop(F.silu(conv(x)))
    x = torch.cat([self.setting.flatten(x), level.flatten(1)], dim=1)
    x = self.setting.drop(F.silu(self.dense(x)))
    return F.silu(self.code(x))


class Encoder(nn.Module):
  """Map a pyramid and a place to a mean and a log-variance."""

  def __init__(self, setting):
    super().__init__()
    self.branches = nn.ModuleList(Branch(setting) for _ in range(4))
    self.hidden = nn.Linear(4 * 32 + 2, 64)
    self.mean = nn.Linear(64, LATENT)
    self.logvar = nn.Linear(64, LATENT)

  def forward(self, levels, place):
    """Return mean and log-variance, both [batch, 120]."""
    x = torch.cat([*look(self.branches, levels), place], dim=1)
    x = F.silu(self.hidden(x))
    return self.mean(x), self.logvar(x)


class Decoder(nn.Module):
  """Map a pyramid, latents and a place to a colour."""

  def __init__(self, setting):
    super().__init__()
    self.setting = setting
    self.branches = nn.ModuleList(Branch(setting) for _ in range(4))
    self.hidden = nn.Linear(4 * 32 + LATENT + 2, 96)
    self.colour = nn.Linear(96, 2)

  def forward(self, levels, latent, place):
    """Return colours [batch, 2]."""
    x = torch.cat([*look(self.branches, levels), latent, place], dim=1)
    x = self.setting.drop(F.silu(self.hidden(x)))
    return torch.tanh(self.colour(x))


def look(branches, levels):
  """Return what each branch says of its level."""
  return [branch(levels[:, i : i + 1]) for i, branch in enumerate(branches)]


class Colouring(nn.Module):
  """Compute the training loss of the colouring."""

  def __init__(self, setting):
    super().__init__()
    self.encoder = Encoder(setting)
    self.decoder = Decoder(setting)

  def forward(self, levels, columns):
    """Return the scalar loss of uint8 pyramids [batch, 4, 14, 14]."""
    levels = levels.float() * (1 / 255)
    place = columns[:, :2]
    colour = columns[:, 2:]
    mean, logvar = self.encoder(levels, place)
    output = self.decoder(levels, common.sample(mean, logvar), place)
    error = WEIGHT * F.mse_loss(output, colour)
    radii = colour.square().sum(1), output.square().sum(1)
    saturation = F.mse_loss(*radii)
    return error + common.kl(mean, logvar) + saturation + common.penalty(self)


if __name__ == "__main__":
  common.run(
    timing.parse_arguments(common.SETTINGS),
    Colouring,
    timing.random_cells(),
    timing.COLOUR_PARAMETERS,
    rate=1e-3,
  )
