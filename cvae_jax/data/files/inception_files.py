"""Weights of the Inception-v3 that FID and KID are taken of, from a file."""

import hashlib
import pathlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cvae_jax.data import DataError
from cvae_jax.data.files import weight_files

PUBLISHED = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d"  # how the SHA-256 of the published file begins
CLASSES = (1008, 2048)  # of the published network alone: others have 1000
EPSILON = 1e-3  # of the batch normalisation
_CONV = ".conv.weight"
_NORM = ("weight", "bias", "running_mean", "running_var")

Tree = dict[str, dict[str, npt.NDArray[np.float32]]]


class Weights(NamedTuple):
  """The layers {Mixed_5b.branch1x1: {kernel, bias}, …}, and of which file."""

  layers: Tree
  sha256: str


def load(path: pathlib.Path) -> Weights:
  """Load a file of torch-fidelity and pytorch-fid, or of the same names.

  The batch normalisation, whose statistics are fixed, becomes a part of the
  convolution before it.

  Args:
    path: a .pth or .safetensors file.

  Raises:
    DataError: it is missing, damaged or of another network.
  """
  if not path.is_file():
    raise DataError(
      f"no weights of Inception in {path}; bring {PUBLISHED}, the file that "
      "torch-fidelity and pytorch-fid download"
    )
  arrays = weight_files.read(path)
  classes = arrays.get("fc.weight")
  if classes is None or classes.shape != CLASSES:
    found = "none" if classes is None else classes.shape
    raise DataError(
      f"{path} is not the Inception of FID: expected fc.weight of shape "
      f"{CLASSES}, found {found}; bring {PUBLISHED}"
    )
  layers = {
    name.removesuffix(_CONV): _fold(arrays, name.removesuffix(_CONV), path)
    for name in arrays
    if name.endswith(_CONV)
  }
  return Weights(layers, hashlib.sha256(path.read_bytes()).hexdigest())


def _fold(
  arrays: weight_files.Arrays, layer: str, path: pathlib.Path
) -> dict[str, npt.NDArray[np.float32]]:
  """Return kernel [k, k, in, out] and bias [out] of one layer."""
  weight = arrays[layer + _CONV].astype(np.float64)
  width = weight.shape[:1]
  norms = [f"{layer}.bn.{part}" for part in _NORM]
  for name in norms:
    if name not in arrays or arrays[name].shape != width:
      found = arrays[name].shape if name in arrays else "none"
      raise DataError(
        f"{path} is not the Inception of FID: expected {name} of shape "
        f"{width}, found {found}; bring {PUBLISHED}"
      )
  gain, shift, mean, variance = (arrays[n].astype(np.float64) for n in norms)
  scale = gain / np.sqrt(variance + EPSILON)
  kernel = weight.transpose(2, 3, 1, 0) * scale
  return {
    "kernel": np.ascontiguousarray(kernel, np.float32),
    "bias": (shift - mean * scale).astype(np.float32),
  }
