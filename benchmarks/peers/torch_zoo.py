"""Time a training step of the zoo's VAE, SCVAE and AAE in PyTorch."""

import timing
import torch
import torch_common as common
from torch import nn
from torch.nn import functional as F

SETTINGS = ["eager", "eager_bits", "compile"]
PIXELS = 784
LATENTS = 2
DROPOUT = 0.15
SLOPE = 0.15


class VAE(nn.Module):
  """Compute the training loss of the VAE, or of the supervised CVAE."""

  def __init__(self, setting, conditions):
    super().__init__()
    self.setting = setting
    self.dense1 = nn.Linear(PIXELS + conditions, 500)
    self.dense2 = nn.Linear(500, 500)
    self.mean = nn.Linear(500, LATENTS)
    self.logvar = nn.Linear(500, LATENTS)
    self.dense3 = nn.Linear(LATENTS + conditions, 500)
    self.dense4 = nn.Linear(500, 500)
    self.logits = nn.Linear(500, PIXELS)

  def forward(self, image, condition):
    """Return the scalar loss of uint8 images [batch, 28, 28]."""
    target = image.flatten(1).float() * (1 / 255)
    x = self.hidden(self.dense1, torch.cat([target, condition], dim=1))
    x = self.hidden(self.dense2, x)
    mean = self.mean(x)
    logvar = self.logvar(x)
    z = common.sample(mean, logvar)
    x = self.hidden(self.dense3, torch.cat([z, condition], dim=1))
    logits = self.logits(self.hidden(self.dense4, x))
    nats = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return nats / len(image) + common.kl(mean, logvar)

  def hidden(self, dense, x):
    """Apply a layer, its ReLU and dropout."""
    return self.setting.drop(F.relu_(dense(x)), DROPOUT)


class AAE(nn.Module):
  """Hold the three networks of the adversarial autoencoder."""

  def __init__(self, setting):
    super().__init__()
    self.encoder = mlp(PIXELS, LATENTS)
    self.decoder = mlp(LATENTS, PIXELS)
    self.discriminator = mlp(LATENTS, 1)
    if setting.compiled:  # each alone: no single loss holds them all
      for network in self.children():
        network.compile()


def mlp(inputs, outputs):
  """Stack two layers of 1,000 leaky units and a linear one."""
  return nn.Sequential(
    nn.Linear(inputs, 1000),
    nn.LeakyReLU(SLOPE, inplace=True),
    nn.Linear(1000, 1000),
    nn.LeakyReLU(SLOPE, inplace=True),
    nn.Linear(1000, outputs),
  )


def adam(parameters, rate, beta1=0.9):
  """Return the optimiser, fused."""
  return torch.optim.Adam(parameters, lr=rate, betas=(beta1, 0.999), fused=True)


def make_step(model, loss_of, columns, batch, rate):
  """Return a function that trains the VAE on a fresh random batch."""
  images, conditions = columns
  optimiser = adam(model.parameters(), rate)

  def step():
    rows = torch.randint(len(images), (batch,))
    optimiser.zero_grad(set_to_none=True)
    loss = loss_of(images[rows], conditions[rows])
    loss.backward()
    optimiser.step()
    return loss.detach()

  return step


def make_adversarial_step(model, loss_of, columns, batch, rate):
  """Return a function that moves the three players of the AAE in turn."""
  images, _ = columns
  encoder, decoder, discriminator = model.children()
  players = [
    adam([*model.encoder.parameters(), *model.decoder.parameters()], rate, 0.5),
    adam(model.discriminator.parameters(), rate / 10, 0.5),
    adam(model.encoder.parameters(), rate / 10, 0.5),
  ]
  says = F.binary_cross_entropy_with_logits
  real = torch.ones(batch, 1)
  fake = torch.zeros(batch, 1)

  def move(player, loss):
    player.zero_grad(set_to_none=True)
    loss.backward(inputs=player.param_groups[0]["params"])
    player.step()

  def step():
    rows = torch.randint(len(images), (batch,))
    x = images[rows].flatten(1).float() * (1 / 255)
    reconstruction = F.mse_loss(torch.sigmoid(decoder(encoder(x))), x) / 2
    move(players[0], reconstruction)
    with torch.no_grad():
      codes = encoder(x)
    draws = torch.randn_like(codes)
    loss = says(discriminator(codes), fake) + says(discriminator(draws), real)
    move(players[1], loss)
    move(players[2], says(discriminator(encoder(x)), real))
    return reconstruction.detach()

  return step


def main():
  """Time the chosen model in the chosen setting."""
  arguments = timing.parse_zoo_arguments(SETTINGS)
  columns = timing.random_zoo(arguments.model)
  adversarial = arguments.model == "aae"
  common.run(
    arguments,
    AAE if adversarial else lambda s: VAE(s, columns[1].shape[1]),
    columns,
    timing.ZOO[arguments.model],
    rate=1e-3,
    make_step=make_adversarial_step if adversarial else make_step,
  )


if __name__ == "__main__":
  main()
