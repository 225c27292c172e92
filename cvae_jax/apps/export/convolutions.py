"""How convolutions and pooling are written in ONNX."""

import numpy as np
from jax.extend.core import JaxprEqn

from cvae_jax.apps.export.graph import Graph, Unsupported, Value


def convolution(graph: Graph, equation: JaxprEqn, values) -> Value:
  """Write conv_general_dilated: as Conv, or ConvTranspose where it dilates.

  ONNX has maps as [B, C, H, W] and kernels as [out, in, k, k]; a transposed
  convolution of kernel k and stride s is one of stride 1 over a map with
  s − 1 zeros between its entries, by the flipped kernel.
  """
  params = equation.params
  numbers = params["dimension_numbers"]
  if params["batch_group_count"] != 1:
    raise Unsupported("a convolution over groups of the batch")
  map_, kernel = values
  x = graph.add_node(
    "Transpose", [graph.expand(map_)], perm=[*numbers.lhs_spec]
  )
  write = (
    _write_conv_transpose if set(params["lhs_dilation"]) != {1} else _write_conv
  )
  y = write(graph, params, x, kernel, numbers.rhs_spec)
  back = [int(i) for i in np.argsort(numbers.out_spec)]
  name = graph.add_node("Transpose", [y], perm=back)
  return Value(name, tuple(equation.outvars[0].aval.shape))


def _write_conv(graph, params, x: str, kernel: Value, spec) -> str:
  """Write a convolution; negative pads, which cut, come before it."""
  low, high = zip(*params["padding"], strict=True)
  cut = [min(p, 0) for p in low], [min(p, 0) for p in high]
  if any(cut[0]) or any(cut[1]):
    pads = [0, 0, *cut[0], 0, 0, *cut[1]]
    x = graph.add_node("Pad", [x, graph.array(pads, np.int64)])
  pads = [max(p, 0) for p in (*low, *high)]
  weights = graph.add_node("Transpose", [graph.expand(kernel)], perm=[*spec])
  if kernel.constant is not None:
    weights = graph.array(np.transpose(kernel.constant, spec))
  return graph.add_node(
    "Conv",
    [x, weights],
    strides=[*params["window_strides"]],
    dilations=[*params["rhs_dilation"]],
    group=params["feature_group_count"],
    pads=pads,
  )


def _write_conv_transpose(graph, params, x: str, kernel: Value, spec) -> str:
  plain = (
    set(params["window_strides"]) == {1}
    and set(params["rhs_dilation"]) == {1}
    and params["feature_group_count"] == 1
    and kernel.constant is not None
  )
  if not plain:
    raise Unsupported("a transposed convolution of this kind")
  weights = np.transpose(kernel.constant, spec)  # [out, in, k, k]
  weights = weights[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
  sides = weights.shape[2:]
  low, high = zip(*params["padding"], strict=True)
  cut = [
    k - 1 - p for k, p in zip((*sides, *sides), (*low, *high), strict=True)
  ]
  before = cut[: len(sides)]
  after = cut[len(sides) :]
  extra = [max(-p, 0) for p in after]
  if min(before) < 0 or any(
    e >= s for e, s in zip(extra, params["lhs_dilation"], strict=True)
  ):
    raise Unsupported(
      "a transposed convolution with pads wider than its kernel"
    )
  return graph.add_node(
    "ConvTranspose",
    [x, graph.array(np.ascontiguousarray(weights))],
    strides=[*params["lhs_dilation"]],
    output_padding=extra,
    pads=[*before, *(max(p, 0) for p in after)],
  )


def max_pool(graph: Graph, equation: JaxprEqn, values) -> Value:
  """Write reduce_window_max over the two middle axes of [B, H, W, C]."""
  params = equation.params
  window = params["window_dimensions"]
  strides = params["window_strides"]
  (before, after) = zip(*params["padding"], strict=True)
  dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
  if len(window) != 4 or window[0] != 1 or window[3] != 1 or dilated:
    raise Unsupported("pooling over other axes than rows and columns")
  x = graph.add_node("Transpose", [graph.expand(values[0])], perm=[0, 3, 1, 2])
  y = graph.add_node(
    "MaxPool",
    [x],
    kernel_shape=[*window[1:3]],
    strides=[*strides[1:3]],
    pads=[*before[1:3], *after[1:3]],
  )
  name = graph.add_node("Transpose", [y], perm=[0, 2, 3, 1])
  return Value(name, tuple(equation.outvars[0].aval.shape))
