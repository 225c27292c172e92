"""Time a training step of the digits model in PyTorch.

Strides of 2 pad (1, 0) here where TensorFlow's "same" pads (0, 1): the mirror
image, with the same shapes and the same work, and without the extra copy that
an explicit pad would cost PyTorch.
"""

import timing
import torch
from torch import nn
from torch.nn import functional as F

SETTINGS = ["channels_last", "eager", "compile", "compile_channels_last"]
LATENT, CONDITION, SIDE = 40, 11, 64
DROPOUT, GREY, L2, DECAY = 0.45, 0.01, 1e-3, 1e-6


class Encoder(nn.Module):
  """Map images and conditions to a mean and a log-variance."""

  def __init__(self, flatten):
    super().__init__()
    self.flatten = flatten
    self.conv1 = nn.Conv2d(1, 32, 3, stride=2, padding=1)
    self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
    self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
    self.dense = nn.Linear(7 * 7 * 128 + CONDITION, 256)
    self.side = nn.Linear(784, SIDE)
    self.mean = nn.Linear(256 + SIDE, LATENT)
    self.logvar = nn.Linear(256 + SIDE, LATENT)

  def forward(self, image, condition):
    """Return mean and log-variance, both [batch, 40]."""
    x = F.dropout(F.relu_(self.conv1(image)), DROPOUT)
    x = F.dropout(F.relu_(self.conv2(x)), DROPOUT)
    x = F.relu_(self.conv3(x))
    x = torch.cat([self.flatten(x), condition], dim=1)
    x = F.relu_(self.dense(x))
    side = F.relu_(self.side(image.flatten(1)))
    x = torch.cat([x, side], dim=1)
    return self.mean(x), self.logvar(x)


class Decoder(nn.Module):
  """Map latents and conditions to images."""

  def __init__(self, unflatten):
    super().__init__()
    self.unflatten = unflatten
    double = {"stride": 2, "padding": 1, "output_padding": 1}
    self.dense1 = nn.Linear(LATENT + CONDITION, 320)
    self.dense2 = nn.Linear(320, 7 * 7 * 160)
    self.conv1 = nn.ConvTranspose2d(160, 80, 3, **double)
    self.conv2 = nn.ConvTranspose2d(80, 40, 3, **double)
    self.conv3 = nn.ConvTranspose2d(40, 1, 3, padding=1)

  def forward(self, latent, condition):
    """Return images [batch, 1, 28, 28]."""
    x = F.relu_(self.dense1(torch.cat([latent, condition], dim=1)))
    x = self.unflatten(F.relu_(self.dense2(x)))
    x = F.dropout(F.relu_(self.conv1(x)), DROPOUT)
    x = F.dropout(F.relu_(self.conv2(x)), DROPOUT)
    return F.relu_(self.conv3(x))


class Digits(nn.Module):
  """Compute the training loss of the conditional VAE."""

  def __init__(self, channels_last):
    super().__init__()
    # Each layout flattens in its own order, so that neither pays for a copy.
    flatten = flatten_nhwc if channels_last else flatten_nchw
    unflatten = unflatten_nhwc if channels_last else unflatten_nchw
    self.encoder, self.decoder = Encoder(flatten), Decoder(unflatten)
    self.apply(initialise)
    if channels_last:
      self.to(memory_format=torch.channels_last)

  def forward(self, image, condition):
    """Return the scalar loss of uint8 images [batch, 28, 28]."""
    target = image.unsqueeze(1).float() * (1 / 255)
    mean, logvar = self.encoder(target, condition)
    latent = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
    value = self.decoder(latent, condition)
    batch = image.shape[0]
    error = F.mse_loss(value, target, reduction="sum") / batch
    kl = -0.5 * (1 + logvar - mean * mean - logvar.exp()).sum() / batch
    grey = F.relu(value * (1 - value)).sum()
    squares = sum(kernel.square().sum() for kernel in kernels(self))
    return error + kl + GREY * grey + L2 * squares


def flatten_nchw(x):
  """Flatten in channel-major order."""
  return x.flatten(1)


def flatten_nhwc(x):
  """Flatten in pixel-major order, a view where channels are last."""
  return x.permute(0, 2, 3, 1).flatten(1)


def unflatten_nchw(x):
  """Reshape to 7×7 maps, channel-major."""
  return x.view(-1, 160, 7, 7)


def unflatten_nhwc(x):
  """Reshape to 7×7 maps, pixel-major, a view where channels are last."""
  return x.view(-1, 7, 7, 160).permute(0, 3, 1, 2)


def initialise(module):
  """Set Glorot-uniform kernels and zero biases."""
  if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
    nn.init.xavier_uniform_(module.weight)
    nn.init.zeros_(module.bias)


def kernels(model):
  """List the convolution kernels, which alone are regularised."""
  return [p for p in model.parameters() if p.dim() == 4]


def make_step(model, loss_of, batch):
  """Return a function that trains on a fresh random batch."""
  images, conditions = map(torch.from_numpy, timing.random_digits())
  optimiser = torch.optim.Adam(
    model.parameters(), lr=1e-3, eps=1e-7, fused=True
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


def main():
  """Build the model in the chosen setting and time it."""
  arguments = timing.parse_arguments(SETTINGS)
  torch.set_num_threads(arguments.threads)
  torch.manual_seed(0)
  model = Digits("channels_last" in arguments.setting)
  parameters = sum(p.numel() for p in model.parameters())
  assert parameters == timing.DIGITS_PARAMETERS, parameters
  compiled = arguments.setting.startswith("compile")
  loss_of = torch.compile(model) if compiled else model
  step = make_step(model, loss_of, arguments.batch)
  timing.report("PyTorch", torch.__version__, parameters, step, arguments)


if __name__ == "__main__":
  main()
