"""How PyTorch and Keras name the arrays of a layer, and lay them out.

                       here            Keras           PyTorch
    dense              [in, out]       [in, out]       [out, in]
    convolution        [k, k, in, out] [k, k, in, out] [out, in, k, k]
    transposed one     [k, k, in, out] [k, k, out, in] [in, out, k, k]

In both programs a transposed convolution's kernel is also flipped.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from numpy.typing import NDArray


class Layout(NamedTuple):
  """One program's names and layouts.

  `parts` holds the names there of each array here. `turn` maps a kernel there,
  and whether it is a transposed convolution's, to the kernel here.
  """

  parts: Mapping[str, tuple[str, ...]]
  turn: Callable[[NDArray, bool], NDArray]


def _turn_pytorch(kernel: NDArray, transposed: bool) -> NDArray:
  if kernel.ndim == 2:
    return kernel.T
  if transposed:
    return kernel[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
  return kernel.transpose(2, 3, 1, 0)


def _turn_keras(kernel: NDArray, transposed: bool) -> NDArray:
  if transposed:
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)
  return kernel


PYTORCH = Layout(
  {
    "kernel": ("weight",),
    "bias": ("bias",),
    "scale": ("weight",),
    "mean": ("running_mean",),
    "var": ("running_var",),
  },
  _turn_pytorch,
)
KERAS = Layout(
  {
    "kernel": ("kernel",),
    "bias": ("bias", "beta"),
    "scale": ("gamma",),
    "mean": ("moving_mean",),
    "var": ("moving_variance",),
  },
  _turn_keras,
)
# Groups of a file that say nothing of a layer.
_FRAMES = ("layers", "vars", "model_weights", "_layer_checkpoint_dependencies")
# What else a file may hold: of a training, and of dropout.
_OTHERS = ("optimizer", "optimizer_weights", "seed_generator", "metrics")
_ORDER = {  # Keras 3 numbers a layer's arrays
  (2, 1): ("kernel", "bias"),
  (4, 1): ("kernel", "bias"),
  (2,): ("kernel",),
  (4,): ("kernel",),
  (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
}


def from_keras(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
  """Return the arrays of a Keras file as {"layer.part": array}.

  Args:
    arrays: by their paths in the file: dense/dense/kernel:0 as Keras 2 writes
      it, layers/dense/vars/0 as Keras 3 does. Both become dense.kernel, and
      those of a model inside another one encoder/dense.kernel.
  """
  layers: dict[str, dict[str, NDArray]] = {}
  for path, array in arrays.items():
    *groups, part = path.split("/")
    if set(groups) & {*_OTHERS}:
      continue
    layer = _layer_path([group for group in groups if group not in _FRAMES])
    layers.setdefault(layer, {})[part.partition(":")[0]] = array
  return {
    f"{layer}.{part}": array
    for layer, parts in layers.items()
    for part, array in _name_arrays(parts).items()
  }


def _layer_path(groups: list[str]) -> str:
  """Return a layer's path; Keras 2 writes its name twice."""
  kept = [
    group
    for place, group in enumerate(groups)
    if not place or group != groups[place - 1]
  ]
  return "/".join(kept)


def _name_arrays(parts: Mapping[str, NDArray]) -> dict[str, NDArray]:
  """Return a layer's arrays by name where they have numbers, "0" and "1"."""
  if not all(part.isdigit() for part in parts):
    return dict(parts)
  arrays = [parts[part] for part in sorted(parts, key=int)]
  names = _ORDER.get(tuple(array.ndim for array in arrays))
  return dict(parts) if names is None else dict(zip(names, arrays, strict=True))
