"""The digits CVAE beside PyTorch: the loss, every gradient, Adam's steps.

PyTorch's layers take the same weights, turned to its layouts; autograd, not
this package's custom gradients, differentiates. In float64.
"""

import jax
import numpy as np
import pytest

from cvae_jax import config as configs
from cvae_jax.host import cpu
from cvae_jax.method import update

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.torch

BATCH = 4
NO_DROPOUT = {
  f"model.{net}.dropout": (0.0, 0.0, 0.0) for net in ("encoder", "decoder")
}


@pytest.fixture(autouse=True)
def updates_as_commands_make_them(monkeypatch):
  monkeypatch.setattr(cpu, "fuses_outputs", lambda: True)


@pytest.fixture(scope="module")
def digits():
  """Return (system, its player, initial state) with dropout off.

  The player is what the system hands to update.make_step, so the loss is the
  one that trains.
  """
  players = {}
  make_step = update.make_step
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      update, "make_step", lambda p: players.update(p) or make_step(p)
    )
    config = configs.load("configs/digits.py:smoke", NO_DROPOUT)
    system = configs.resolve(config)
  state = jax.jit(system.init)(jax.random.key(0))
  # Biases that are not 0, so that a bias in the wrong place would show.
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda p: (
      p + rng.normal(0, 0.05, p.shape).astype(np.float32) if p.ndim == 1 else p
    ),
    state.params,
  )
  return system, players["model"], state.replace(params=params)


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(1)
  rows, columns = np.mgrid[:28, :28]
  centre = rng.uniform(8, 20, (2, BATCH, 1, 1))
  distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
  ink = rng.uniform(-1, 1, (BATCH, 1))
  return {
    "image": (255 * np.exp(-distance / 16)).astype(np.uint8)[..., None],
    "condition": np.hstack(
      [np.eye(10)[rng.integers(0, 10, BATCH)], ink]
    ).astype(np.float32),
  }


@pytest.fixture(scope="module")
def value_and_gradients(digits):
  """Differentiates the training loss at a step, its ε being known."""
  _, player, _ = digits
  epsilon = np.random.default_rng(2).standard_normal((BATCH, 40), np.float32)

  def loss(params, batch, step):
    return player.loss(params, {}, batch, jax.random.key(0), step)[0]

  f = jax.jit(jax.value_and_grad(loss))

  def known(key, shape, dtype=None):
    assert shape == epsilon.shape
    return jax.numpy.asarray(epsilon)

  def call(params, batch, step):
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(jax.random, "normal", known)  # seen while it is traced
      return f(params, batch, np.int32(step))

  return call, epsilon


def torch_loss(params, batch, epsilon, grey):
  """Computes the digits' loss in NCHW; params are tensors in Flax's layouts."""

  def dense(x, layer):
    return x @ layer["kernel"] + layer["bias"]

  def conv(x, layer, stride):
    low = 0 if stride == 2 else 1  # TensorFlow's SAME at even sizes
    x = F.pad(x, (low, 1, low, 1))
    weight = layer["kernel"].permute(3, 2, 0, 1)
    return F.relu(F.conv2d(x, weight, layer["bias"], stride))

  def transposed(x, layer, stride):
    # PyTorch's is the gradient of a convolution: it flips the kernel.
    weight = layer["kernel"].flip(0, 1).permute(2, 3, 0, 1)
    y = F.conv_transpose2d(x, weight, layer["bias"], stride)
    low = 0 if stride == 2 else 1
    size = stride * x.shape[-1]
    return F.relu(y[..., low : low + size, low : low + size])

  encoder = params["encoder"]
  decoder = params["decoder"]
  image = torch.tensor(batch["image"].astype(np.float64) / 255)
  target = image.permute(0, 3, 1, 2)
  condition = torch.tensor(batch["condition"], dtype=torch.float64)
  x = conv(target, encoder["conv_0"], 2)
  x = conv(x, encoder["conv_1"], 2)
  x = conv(x, encoder["conv_2"], 1)
  x = x.permute(0, 2, 3, 1).flatten(1)  # Flax flattens channels last
  x = F.relu(dense(torch.cat([x, condition], 1), encoder["dense"]))
  side = F.relu(dense(image.flatten(1), encoder["side"]))
  x = torch.cat([x, side], 1)
  mean = dense(x, encoder["mean"])
  logvar = dense(x, encoder["logvar"])
  z = mean + torch.exp(logvar / 2) * torch.tensor(epsilon).double()
  x = F.relu(dense(torch.cat([z, condition], 1), decoder["dense_0"]))
  x = F.relu(dense(x, decoder["dense_1"]))
  x = x.view(-1, 7, 7, 160).permute(0, 3, 1, 2)
  x = transposed(x, decoder["conv_0"], 2)
  x = transposed(x, decoder["conv_1"], 2)
  v = transposed(x, decoder["conv_2"], 1)
  posterior = torch.distributions.Normal(mean, torch.exp(logvar / 2))
  prior = torch.distributions.Normal(0.0, 1.0)
  kl = torch.distributions.kl_divergence(posterior, prior).sum()
  loss = (F.mse_loss(v, target, reduction="sum") + kl) / BATCH
  loss = loss + grey * torch.clamp(v * (1 - v), min=0).sum() / BATCH
  kernels = [p["kernel"] for net in params.values() for p in net.values()]
  return loss + 0.001 * sum((k**2).sum() for k in kernels if k.ndim == 4)


def to_torch(tree):
  return jax.tree.map(
    lambda p: torch.tensor(np.float64(p), requires_grad=True), tree
  )


@pytest.mark.parametrize(("step", "grey"), [(99, 0.0), (100, 0.32)])
def test_loss_and_every_gradient_equal_autograds(
  digits, batch, value_and_gradients, step, grey
):
  f, epsilon = value_and_gradients
  params = digits[2].params
  value, gradients = f(params, batch, step)
  mirror = to_torch(params)
  loss = torch_loss(mirror, batch, epsilon, grey)
  loss.backward()
  np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(gradients),
    jax.tree.leaves(mirror),
    strict=True,
  )
  for (path, ours), tensor in pairs:
    theirs = tensor.grad.numpy()
    assert abs(theirs).max() > 1e-6, path  # else nothing is compared
    np.testing.assert_allclose(
      ours, theirs, rtol=0, atol=1e-5 * abs(theirs).max(), err_msg=str(path)
    )


def test_five_adam_steps_equal_torchs_on_the_same_gradients(
  digits, batch, value_and_gradients
):
  _, player, state = digits
  f, _ = value_and_gradients
  mirror = to_torch(state.params)
  tensors = jax.tree.leaves(mirror)
  adam = torch.optim.Adam(tensors, lr=1e-3, betas=(0.9, 0.999), eps=1e-7)
  decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda t: 1 / (1 + 1e-6 * t))
  params = state.params
  moments = player.tx.init(state.params)
  start = jax.tree.leaves(params)

  @jax.jit
  def apply(gradients, moments, params):
    changes, moments = player.tx.update(gradients, moments, params)
    return jax.tree.map(lambda p, change: p + change, params, changes), moments

  for step in range(5):
    _, gradients = f(params, batch, step)
    params, moments = apply(gradients, moments, params)
    for tensor, gradient in zip(
      tensors, jax.tree.leaves(gradients), strict=True
    ):
      tensor.grad = torch.tensor(np.float64(gradient))
    adam.step()
    decay.step()
  for ours, theirs, old in zip(
    jax.tree.leaves(params), tensors, start, strict=True
  ):
    moved = abs(theirs.detach().numpy() - np.asarray(old)).max()
    assert moved > 1e-5  # far above the tolerance below
    # Float32 sums of ~0.1 are rounded by 1e-8 a step.
    np.testing.assert_allclose(ours, theirs.detach(), rtol=0, atol=2e-7)


def test_five_training_steps_follow_torchs(digits, batch, value_and_gradients):
  """Runs the system's own step, so that update.py is in the comparison."""
  system, _, state = digits
  _, epsilon = value_and_gradients
  known = jax.numpy.asarray(epsilon)
  mirror = to_torch(state.params)
  adam = torch.optim.Adam(jax.tree.leaves(mirror), lr=1e-3, eps=1e-7)
  step = jax.jit(lambda *args: system.step(*args))
  for i in range(5):
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(jax.random, "normal", lambda *_: known)
      state, metrics = step(state, batch, jax.random.key(0), np.int32(i))
    adam.zero_grad()
    loss = torch_loss(mirror, batch, epsilon, 0.0)
    loss.backward()
    adam.step()
    # Adam divides by |g|: where g is nearly 0 float32 and float64 part ways.
    np.testing.assert_allclose(
      metrics["model/loss"], loss.item(), rtol=1e-5 if i == 0 else 2e-4
    )
