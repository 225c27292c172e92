"""The Inception-v3 whose features FID and KID are taken of, frozen.

It is the graph that TensorFlow published on 2015-12-05. Three things differ
from other Inception-v3: average pools do not count the padding, the last block
pools by maximum, and images are resized as TensorFlow 1 did. Layers have the
names that torchvision gave them. Each one is a convolution with a bias, into
which its batch normalisation is folded, and a ReLU.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cvae_jax.nets.fast import conv

SIDE = 299  # pixels that images are resized to


class Conv(NamedTuple):
  """A convolution of the tables; with padding SAME unless it says VALID."""

  name: str
  width: int
  size: tuple[int, int] = (1, 1)
  stride: int = 1
  padding: str = "SAME"


class Fork(NamedTuple):
  """Chains that read the same maps; their outputs are joined."""

  chains: tuple[tuple["Step", ...], ...]


Step = Conv | Fork | str  # a name is that of a pooling


def _average(x: Array) -> Array:
  return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _maximum(x: Array) -> Array:
  return nn.max_pool(x, (3, 3), (1, 1), "SAME")


def _halve(x: Array) -> Array:
  return nn.max_pool(x, (3, 3), (2, 2), "VALID")


POOLINGS: Mapping[str, Callable[[Array], Array]] = {
  "average": _average,
  "maximum": _maximum,
  "halve": _halve,
}

STEM: tuple[Step, ...] = (
  Conv("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
  Conv("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
  Conv("Conv2d_2b_3x3", 64, (3, 3)),
  "halve",
  Conv("Conv2d_3b_1x1", 80),
  Conv("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
  "halve",
)


def _block_35(pooled: int) -> Fork:
  """Return a block of maps of 35×35."""
  return Fork(
    (
      (Conv("branch1x1", 64),),
      (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))),
      (
        Conv("branch3x3dbl_1", 64),
        Conv("branch3x3dbl_2", 96, (3, 3)),
        Conv("branch3x3dbl_3", 96, (3, 3)),
      ),
      ("average", Conv("branch_pool", pooled)),
    )
  )


_TO_17 = Fork(
  (
    (Conv("branch3x3", 384, (3, 3), 2, "VALID"),),
    (
      Conv("branch3x3dbl_1", 64),
      Conv("branch3x3dbl_2", 96, (3, 3)),
      Conv("branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
    ),
    ("halve",),
  )
)


def _block_17(width: int) -> Fork:
  """Return a block of maps of 17×17."""
  return Fork(
    (
      (Conv("branch1x1", 192),),
      (
        Conv("branch7x7_1", width),
        Conv("branch7x7_2", width, (1, 7)),
        Conv("branch7x7_3", 192, (7, 1)),
      ),
      (
        Conv("branch7x7dbl_1", width),
        Conv("branch7x7dbl_2", width, (7, 1)),
        Conv("branch7x7dbl_3", width, (1, 7)),
        Conv("branch7x7dbl_4", width, (7, 1)),
        Conv("branch7x7dbl_5", 192, (1, 7)),
      ),
      ("average", Conv("branch_pool", 192)),
    )
  )


_TO_8 = Fork(
  (
    (
      Conv("branch3x3_1", 192),
      Conv("branch3x3_2", 320, (3, 3), 2, "VALID"),
    ),
    (
      Conv("branch7x7x3_1", 192),
      Conv("branch7x7x3_2", 192, (1, 7)),
      Conv("branch7x7x3_3", 192, (7, 1)),
      Conv("branch7x7x3_4", 192, (3, 3), 2, "VALID"),
    ),
    ("halve",),
  )
)


def _cross(name: str) -> Fork:
  chains = ((f"{name}a", (1, 3)), (f"{name}b", (3, 1)))
  return Fork(tuple((Conv(end, 384, size),) for end, size in chains))


def _block_8(pooling: str) -> Fork:
  """Return a block of maps of 8×8."""
  return Fork(
    (
      (Conv("branch1x1", 320),),
      (Conv("branch3x3_1", 384), _cross("branch3x3_2")),
      (
        Conv("branch3x3dbl_1", 448),
        Conv("branch3x3dbl_2", 384, (3, 3)),
        _cross("branch3x3dbl_3"),
      ),
      (pooling, Conv("branch_pool", 192)),
    )
  )


BLOCKS: Mapping[str, Fork] = {
  "Mixed_5b": _block_35(32),
  "Mixed_5c": _block_35(64),
  "Mixed_5d": _block_35(64),
  "Mixed_6a": _TO_17,
  "Mixed_6b": _block_17(128),
  "Mixed_6c": _block_17(160),
  "Mixed_6d": _block_17(160),
  "Mixed_6e": _block_17(192),
  "Mixed_7a": _TO_8,
  "Mixed_7b": _block_8("average"),
  "Mixed_7c": _block_8("maximum"),
}


class Inception(nn.Module):
  """Features of images: the averages of the last block's maps."""

  @nn.compact
  def __call__(self, image: Array) -> Array:
    """Map RGB uint8 [B, H, W, 3] of any size to features [B, 2048]."""
    x = (resize(image.astype(jnp.float32), SIDE) - 128.0) / 128.0
    x = _apply(STEM, x)
    for name, block in BLOCKS.items():
      x = _apply((block,), x, f"{name}.")
    return x.mean(axis=(1, 2))


def kernel_shapes() -> dict[str, tuple[int, ...]]:
  """Return the shape of each layer's kernel: {Mixed_5b.branch1x1: …}."""
  found = {}

  def follow(steps: tuple[Step, ...], width: int, prefix: str = "") -> int:
    for step in steps:
      if isinstance(step, Fork):
        width = sum(follow(chain, width, prefix) for chain in step.chains)
      elif isinstance(step, Conv):
        found[prefix + step.name] = (*step.size, width, step.width)
        width = step.width
    return width

  width = follow(STEM, 3)
  for name, block in BLOCKS.items():
    width = follow((block,), width, f"{name}.")
  return found


def resize(x: Array, side: int) -> Array:
  """Resize [B, H, W, C] to [B, side, side, C] as TensorFlow 1 did.

  Bilinear, without smoothing: pixel i of the result lies at i · H / side, where
  later versions have (i + ½) · H / side − ½.
  """
  for axis in (2, 1):
    size = x.shape[axis]
    place = np.arange(side, dtype=np.float32) * np.float32(size / side)
    low = place.astype(np.int32)
    high = np.minimum(low + 1, size - 1)
    share = (place - low).reshape([-1 if n == axis else 1 for n in range(4)])
    below, above = (jnp.take(x, at, axis=axis) for at in (low, high))
    x = below + (above - below) * share
  return x


def _apply(steps: tuple[Step, ...], x: Array, prefix: str = "") -> Array:
  """Apply steps in turn; called within a module, which owns their layers."""
  for step in steps:
    if isinstance(step, Fork):
      parts = [_apply(chain, x, prefix) for chain in step.chains]
      x = jnp.concatenate(parts, axis=-1)
    elif isinstance(step, Conv):
      x = _Layer(step, name=prefix + step.name)(x)
    else:
      x = POOLINGS[step](x)
  return x


class _Layer(nn.Module):
  """Holds the kernel and the bias of a convolution."""

  of: Conv

  @nn.compact
  def __call__(self, x: Array) -> Array:
    shape = (*self.of.size, x.shape[-1], self.of.width)
    kernel = self.param("kernel", nn.initializers.he_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, shape[-1:])
    how = (self.of.stride, self.of.padding)
    return jax.nn.relu(conv.conv(x, kernel, *how, bias=bias, fast=False))
