"""What frozen networks see: VGG16's LPIPS of pairs, embeddings of images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from cvae_jax.host.images import unit
from cvae_jax.nets.features import LPIPS_TAPS, Features
from cvae_jax.nets.inception import Inception
from cvae_jax.types import PyTree

ROWS = 32  # images at once: the first maps of 128×128 take 4 MB each
EMBEDDING = "relu5_3"  # 512 channels, averaged over the map


def lpips(weights: PyTree, heads: PyTree) -> Callable[..., NDArray]:
  """Build (images, others) -> [N], LPIPS v0.1 with VGG16 (Zhang et al. 2018).

  Both are [N, H, W, 3], float in [0, 1] or uint8, at least 16 pixels a side.
  0 for equal images; the published distances are of 64×64 patches.

  Args:
    weights: VGG16's convolutions, {conv1_1: {kernel, bias}, …}.
    heads: the linear layer of each tap, {relu1_2: [C], …}.
  """
  net = Features("vgg16", LPIPS_TAPS, "lpips")

  @jax.jit
  def distances(weights, heads, images, others):
    pair = (net.apply({"params": weights}, x) for x in (images, others))
    pair = [{tap: _unit(maps) for tap, maps in found.items()} for found in pair]
    return sum(
      (((pair[0][tap] - pair[1][tap]) ** 2) @ heads[tap]).mean(axis=(1, 2))
      for tap in LPIPS_TAPS
    )

  return lambda images, others: _apply_in_parts(
    lambda *rows: distances(weights, heads, *rows), images, others
  )


def make_embedding(weights: PyTree) -> Callable[..., NDArray]:
  """Build (images) -> [N, 512]: the map averages of VGG16's relu5_3.

  The features that the project's Fréchet distance, precision and recall are
  taken of. They are not Inception's, so no distance of them is an FID.
  """
  net = Features("vgg16", (EMBEDDING,))

  @jax.jit
  def embed(weights, images):
    maps = net.apply({"params": weights}, images)[EMBEDDING]
    return maps.mean(axis=(1, 2))

  return lambda images: _apply_in_parts(
    lambda rows: embed(weights, rows), images
  )


def make_inception(layers: PyTree) -> Callable[..., NDArray]:
  """Build (images) -> [N, 2048]: the features of FID and KID.

  Images are uint8 [N, H, W, 3] of any size.

  Args:
    layers: Inception's convolutions, {Mixed_5b.branch1x1: {kernel, bias}, …}.
  """

  @jax.jit
  def embed(layers, images):
    # A GPU would round the operands, and features be less like the published.
    with jax.default_matmul_precision("highest"):
      return Inception().apply({"params": layers}, images)

  return lambda images: _apply_in_parts(
    lambda rows: embed(layers, rows), images, convert=np.asarray
  )


def _unit(maps: Array) -> Array:
  """Scale each pixel's channels to length 1."""
  norm = jnp.sqrt(jnp.sum(maps**2, axis=-1, keepdims=True))
  return maps / (norm + 1e-10)


def _apply_in_parts(
  function: Callable, *images: NDArray, convert: Callable = unit
) -> NDArray:
  """Apply a function to a bounded number of converted rows at once.

  The last rows are padded, so that it compiles once.

  Raises:
    ValueError: the sets are not RGB images of one shape.
  """
  shapes = [np.shape(x) for x in images]
  if len({*shapes}) > 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
    raise ValueError(
      f"expected sets of RGB images of one shape [N, H, W, 3]; found {shapes}"
    )
  parts = []
  count = shapes[0][0]
  for start in range(0, count, ROWS):
    rows = np.arange(start, start + ROWS).clip(max=count - 1)
    parts.append(np.asarray(function(*(convert(x[rows]) for x in images))))
  return np.concatenate(parts)[:count]
