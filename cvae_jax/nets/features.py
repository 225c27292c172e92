"""VGG's convolutions as features of an image, frozen (Simonyan and Zisserman).

Layers have the names of the paper: conv3_1 is the first convolution of the
third block, relu3_1 what follows it; blocks end in a 2×2 maximum pooling.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cvae_jax.method.names import pick
from cvae_jax.nets.fast import conv

WIDTHS = (64, 128, 256, 512, 512)  # of the blocks' convolutions
DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
LPIPS_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


def layers(network: str) -> tuple[str, ...]:
  """Name the convolutions in order: conv1_1, conv1_2, conv2_1, …

  Raises:
    ValueError: there is no such network.
  """
  if network not in DEPTHS:
    raise ValueError(
      f"no feature network {network!r}; there are {', '.join(DEPTHS)}"
    )
  return tuple(
    f"conv{block}_{i}"
    for block, depth in enumerate(DEPTHS[network], 1)
    for i in range(1, depth + 1)
  )


def _torchvision(image: Array) -> Array:
  mean = jnp.array([0.485, 0.456, 0.406]).reshape(1, 1, 1, 3)
  return (image - mean) / jnp.array([0.229, 0.224, 0.225]).reshape(1, 1, 1, 3)


def _caffe(image: Array) -> Array:
  mean = jnp.array([103.939, 116.779, 123.68]).reshape(1, 1, 1, 3)
  return 255.0 * image[..., ::-1] - mean


def _lpips(image: Array) -> Array:
  shift = jnp.array([-0.030, -0.088, -0.188]).reshape(1, 1, 1, 3)
  scale = jnp.array([0.458, 0.448, 0.450]).reshape(1, 1, 1, 3)
  return (2.0 * image - 1.0 - shift) / scale


# What the weights were trained on, made of RGB in [0, 1].
PREPROCESSING = {
  "torchvision": _torchvision,  # standardised RGB
  "caffe": _caffe,  # BGR in 0..255 minus its mean: the authors' and Keras's
  "lpips": _lpips,  # torchvision's to two digits, from [−1, 1]
  "none": lambda image: image,  # the zoo source's mistake
}


class Features(nn.Module):
  """ReLU outputs of VGG, computed no deeper than the last tap.

  XLA's own convolutions are used, on CPU too. They are fast here: the stride
  is 1, and the kernels are not trained, so only the gradient by the image is
  taken, which is again such a convolution. `patches` would hold 9 maps at once.
  """

  network: str  # vgg16 or vgg19
  taps: Sequence[str]  # relu1_1, …
  preprocessing: str = "torchvision"

  @nn.compact
  def __call__(self, image: Array) -> dict[str, Array]:
    """Map RGB [B, H, W, 3] in [0, 1] to {tap: [B, H', W', C]}.

    Raises:
      ValueError: a tap is no layer of the network; they are listed.
    """
    prepare = pick(PREPROCESSING, self.preprocessing, "preprocessing")
    x = prepare(image)
    found = {}
    block = "1"
    for name in layers(self.network)[: self.depth]:
      if name[4] != block:
        block = name[4]
        x = nn.max_pool(x, (2, 2), (2, 2))
      shape = (3, 3, x.shape[-1], WIDTHS[int(block) - 1])
      x = jax.nn.relu(_Convolution(shape, name=name)(x))
      found[name.replace("conv", "relu")] = x
    return {tap: found[tap] for tap in self.taps}

  @property
  def depth(self) -> int:
    """Count the convolutions that the taps need."""
    known = [name.replace("conv", "relu") for name in layers(self.network)]
    if unknown := [tap for tap in self.taps if tap not in known]:
      raise ValueError(
        f"{self.network} has no {unknown[0]!r}; its taps are {', '.join(known)}"
      )
    return 1 + max(known.index(tap) for tap in self.taps)


class _Convolution(nn.Module):
  """Holds a layer's kernel and bias under the layer's name."""

  shape: tuple[int, ...]

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param("kernel", nn.initializers.he_normal(), self.shape)
    bias = self.param("bias", nn.initializers.zeros, self.shape[-1:])
    return conv.conv(x, kernel, bias=bias, fast=False)
