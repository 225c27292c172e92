"""VGG and LPIPS beside PyTorch's own layers, on the same weights."""

import jax
import numpy as np
import pytest

from cvae_jax.data import DataError
from cvae_jax.data.files import vgg_files
from cvae_jax.metrics import perceptual
from cvae_jax.nets import features
from cvae_jax.nets.features import Features

torch = pytest.importorskip("torch")
F = torch.nn.functional

pytestmark = pytest.mark.torch


@pytest.fixture
def narrow(monkeypatch):
  """Make the networks narrow: what is tested is order, not size."""
  monkeypatch.setattr(features, "WIDTHS", (4, 6, 8, 10, 12))


def draw(network, seed=0):
  """Draws He-normal kernels and biases that show in the wrong place."""
  rng = np.random.default_rng(seed)
  before = 3
  tree = {}
  for name in features.layers(network):
    after = features.WIDTHS[int(name[4]) - 1]
    shape = (3, 3, before, after)
    kernel = rng.standard_normal(shape, np.float32) * np.sqrt(2 / (9 * before))
    bias = 0.1 * rng.standard_normal(after, np.float32)
    tree[name] = {"kernel": kernel.astype(np.float32), "bias": bias}
    before = after
  return tree


def torch_layers(tree, x):
  """Computes every ReLU output in NCHW, as torchvision's Sequential does."""
  found = {}
  block = "1"
  for name, layer in tree.items():
    if name[4] != block:
      block = name[4]
      x = F.max_pool2d(x, 2, 2)
    weight = torch.tensor(layer["kernel"]).permute(3, 2, 0, 1)
    x = F.relu(F.conv2d(x, weight, torch.tensor(layer["bias"]), padding=1))
    found[name.replace("conv", "relu")] = x
  return found


def nchw(images):
  return torch.tensor(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("network", features.DEPTHS)
def test_every_layer_and_the_image_s_gradient_equal_torch_s(network, narrow):
  tree = draw(network)
  image = np.random.default_rng(1).random((1, 17, 32, 3)).astype(np.float32)
  taps = tuple(n.replace("conv", "relu") for n in features.layers(network))
  net = Features(network, taps)

  def total(image):
    found = net.apply({"params": tree}, image)
    return sum(maps.mean() for maps in found.values()), found

  (_, ours), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(image)
  x = nchw(image).requires_grad_()
  mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
  std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
  theirs = torch_layers(tree, (x - mean) / std)
  sum(maps.mean() for maps in theirs.values()).backward()
  assert ours.keys() == theirs.keys()
  for tap in taps:
    expected = theirs[tap].detach().permute(0, 2, 3, 1).numpy()
    assert expected.max() > 0.1  # else nothing is compared
    np.testing.assert_allclose(ours[tap], expected, atol=2e-5, rtol=1e-4)
  np.testing.assert_allclose(
    gradient, x.grad.permute(0, 2, 3, 1).numpy(), atol=1e-6, rtol=1e-3
  )


def torch_lpips(tree, heads, a, b):
  """Computes LPIPS v0.1 (Zhang et al. 2018, §3) of images in [0, 1]."""
  shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
  scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
  a, b = (torch_layers(tree, (2 * nchw(x) - 1 - shift) / scale) for x in (a, b))
  total = 0
  for tap, head in heads.items():
    unit = [F.normalize(found[tap], dim=1) for found in (a, b)]
    weights = torch.tensor(head).view(1, -1, 1, 1)
    total += F.conv2d((unit[0] - unit[1]) ** 2, weights).mean((1, 2, 3))
  return total.numpy()


@pytest.fixture
def weights(request):
  """Return the real weights where they are, else narrow drawn ones."""
  try:
    return vgg_files.lpips()
  except DataError:
    request.getfixturevalue("narrow")
    rng = np.random.default_rng(2)
    widths = features.WIDTHS
    heads = zip(features.LPIPS_TAPS, widths, strict=True)
    return draw("vgg16"), {
      tap: rng.random(width).astype(np.float32) for tap, width in heads
    }


def test_lpips_equals_torch_s_and_is_0_for_equal_images(weights):
  tree, heads = weights
  rng = np.random.default_rng(3)
  a, b = rng.random((2, 3, 48, 48, 3)).astype(np.float32)
  b[1] = 0.9 * a[1] + 0.1 * b[1]  # one pair is near
  lpips = perceptual.lpips(tree, heads)
  found = lpips(a, b)
  np.testing.assert_allclose(found, torch_lpips(tree, heads, a, b), rtol=1e-4)
  assert found[1] < found[0]
  assert lpips(a, a).max() < 1e-12


def test_the_embedding_is_relu5_3_averaged_whatever_the_images_type(narrow):
  tree = draw("vgg16")
  images = np.random.default_rng(4).integers(0, 256, (35, 16, 16, 3), np.uint8)
  found = perceptual.make_embedding(tree)(images)
  assert found.shape == (35, 12)
  x = images[-2:].astype(np.float32) / 255
  mean = np.array([0.485, 0.456, 0.406], np.float32)
  std = np.array([0.229, 0.224, 0.225], np.float32)
  maps = torch_layers(tree, nchw((x - mean) / std))["relu5_3"]
  expected = maps.mean((2, 3)).numpy()
  np.testing.assert_allclose(found[-2:], expected, atol=1e-5, rtol=1e-4)
  with pytest.raises(ValueError, match=r"found \[\(2, 8, 8, 1\)\]"):
    perceptual.make_embedding(tree)(np.zeros((2, 8, 8, 1)))
