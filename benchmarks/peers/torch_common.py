"""What the PyTorch contenders share: layouts, dropout, Adam and the run."""

import timing
import torch
from torch import nn
from torch.nn import functional as F

SETTINGS = [
  "channels_last",
  "channels_last_bits",
  "eager",
  "compile",
  "compile_channels_last",
  "bfloat16_channels_last",
  "bfloat16_channels_last_bits",
]
DROPOUT = 0.45
L2 = 1e-3
DECAY = 1e-6


class Setting:
  """Hold what a setting changes: layout, dropout, compilation, precision.

  Maps are flattened in the order they lie in, so that neither layout copies.
  """

  def __init__(self, name):
    self.channels_last = "channels_last" in name
    self.compiled = name.startswith("compile")
    self.mixed = name.startswith("bfloat16")
    self.drop = drop_by_bits if name.endswith("bits") else drop

  def flatten(self, x):
    """Turn maps [B, C, H, W] into rows."""
    return (x.permute(0, 2, 3, 1) if self.channels_last else x).flatten(1)

  def unflatten(self, x, height, width, channels):
    """Turn rows into maps [B, C, H, W]."""
    if self.channels_last:
      return x.view(-1, height, width, channels).permute(0, 3, 1, 2)
    return x.view(-1, channels, height, width)


def drop(x, rate=DROPOUT):
  """Apply dropout with a fresh mask."""
  return F.dropout(x, rate)


def drop_by_bits(x, rate=DROPOUT):
  """Apply dropout whose mask compares 16 random bits with the rate.

  The Bernoulli draws of F.dropout are a third of a step; these are cheap.
  """
  words = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
  bits = words.random_(-(2**63), None).view(torch.int16)[: x.numel()]
  keep = bits >= round((rate - 0.5) * 2**16)
  keep = keep.as_strided(x.shape, x.stride())  # x is dense in either layout
  return x * (keep * torch.tensor(1 / (1 - rate), dtype=x.dtype))


def sample(mean, logvar):
  """Draw latents by the reparameterisation."""
  return mean + torch.exp(logvar / 2) * torch.randn_like(mean)


def kl(mean, logvar):
  """Return KL(q ‖ N(0, I)), averaged over the batch."""
  return -0.5 * (1 + logvar - mean * mean - logvar.exp()).sum() / len(mean)


def penalty(model):
  """Return the L2 penalty of the convolution kernels, which alone have it."""
  kernels = (p for p in model.parameters() if p.dim() == 4)
  return L2 * sum(kernel.square().sum() for kernel in kernels)


def initialise(module):
  """Set Glorot-uniform kernels and zero biases."""
  if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
    nn.init.xavier_uniform_(module.weight)
    if module.bias is not None:
      nn.init.zeros_(module.bias)


def make_step(model, loss_of, columns, batch, rate):
  """Return a function that trains on a fresh random batch."""
  images, conditions = columns
  optimiser = torch.optim.Adam(
    model.parameters(), lr=rate, eps=1e-7, fused=True
  )
  schedule = torch.optim.lr_scheduler.LambdaLR(
    optimiser, lambda step: 1 / (1 + DECAY * step)
  )

  def step():
    rows = torch.randint(len(images), (batch,))
    optimiser.zero_grad(set_to_none=True)
    loss = loss_of(images[rows], conditions[rows])
    loss.backward()
    optimiser.step()
    schedule.step()
    return loss.detach()

  return step


def run(arguments, make_model, columns, parameters, rate, make_step=make_step):
  """Build the model in the chosen setting and time it."""
  torch.set_num_threads(arguments.threads)
  torch.manual_seed(0)
  setting = Setting(arguments.setting)
  model = make_model(setting)
  model.apply(initialise)
  if setting.channels_last:
    model.to(memory_format=torch.channels_last)
  count = sum(p.numel() for p in model.parameters())
  assert count == parameters, count
  loss_of = torch.compile(model) if setting.compiled else model
  if setting.mixed:  # torch.autocast chooses what is computed in bfloat16
    loss_of = torch.autocast("cpu", torch.bfloat16)(loss_of)
  columns = [torch.from_numpy(column) for column in columns]
  step = make_step(model, loss_of, columns, arguments.batch, rate)
  timing.report("PyTorch", torch.__version__, count, step, arguments)
