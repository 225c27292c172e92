"""How each operation of a traced network is written in ONNX.

`OPERATORS` maps the name of a JAX primitive to a function (graph, equation,
values) → Value. It holds what encoders, decoders and judges here are made of;
another primitive is an error that names it (`convert.py`).
"""

import string
from collections.abc import Callable, Sequence

import numpy as np
from onnx import helper

from cvae_jax.apps.export.convolutions import convolution, max_pool
from cvae_jax.apps.export.elementwise import ELEMENTWISE, result_shape
from cvae_jax.apps.export.gathers import gather
from cvae_jax.apps.export.graph import Graph, Unsupported, Value

_REDUCTIONS = {
  "reduce_max": "ReduceMax",
  "reduce_min": "ReduceMin",
  "reduce_sum": "ReduceSum",
}


def _convert(graph, equation, values):
  kind = helper.np_dtype_to_tensor_dtype(np.dtype(equation.params["new_dtype"]))
  name = graph.add_node("Cast", [graph.name(values[0])], to=kind)
  return Value(name, result_shape(equation), narrow=values[0].narrow)


def _itself(graph, equation, values):
  return values[0]


def reshape(graph: Graph, name: str, shape: Sequence) -> str:
  """Add a reshape; one size of the new shape may depend on B."""
  symbolic = [n for n in shape if not isinstance(n, int)]
  if len(symbolic) > 1:
    raise Unsupported(f"a shape with two sizes that depend on B: {shape}")
  sizes = [n if isinstance(n, int) else -1 for n in shape]
  return graph.add_node("Reshape", [name, graph.array(sizes, np.int64)])


def _reshape(graph, equation, values):
  shape = result_shape(equation)
  return Value(reshape(graph, graph.expand(values[0]), shape), shape)


def _broadcast(graph, equation, values):
  shape = result_shape(equation)
  kept = equation.params["broadcast_dimensions"]
  (value, *_) = values
  narrow = [1] * len(shape)
  for axis, size in zip(kept, value.shape, strict=True):
    narrow[axis] = size
  name = reshape(graph, graph.expand(value), narrow)
  return Value(name, shape, narrow=tuple(narrow) != shape)


def _transpose(graph, equation, values):
  order = [*equation.params["permutation"]]
  name = graph.add_node("Transpose", [graph.expand(values[0])], perm=order)
  return Value(name, result_shape(equation))


def _concatenate(graph, equation, values):
  axis = equation.params["dimension"]
  names = [graph.expand(value) for value in values if value.shape[axis] != 0]
  return Value(
    graph.add_node("Concat", names, axis=axis), result_shape(equation)
  )


def _slice(graph, equation, values):
  params = equation.params
  last = np.iinfo(np.int64).max
  shape = values[0].shape
  # ONNX counts from the end by negative numbers.
  starts = [
    start if isinstance(start, int) else start - size
    for start, size in zip(params["start_indices"], shape, strict=True)
  ]
  ends = [
    last if end == size else end
    for end, size in zip(params["limit_indices"], shape, strict=True)
  ]
  steps = params["strides"] or [1] * len(starts)
  if not all(isinstance(n, int) for n in (*starts, *ends)):
    raise Unsupported("a slice whose ends depend on the batch")
  numbers = (starts, ends, range(len(starts)), steps)
  names = [graph.array([*each], np.int64) for each in numbers]
  name = graph.add_node("Slice", [graph.expand(values[0]), *names])
  return Value(name, result_shape(equation))


def _pad(graph, equation, values):
  low, high, inner = zip(*equation.params["padding_config"], strict=True)
  if any(inner):
    raise Unsupported("padding between the entries")
  pads = graph.array([*low, *high], np.int64)
  names = [graph.expand(values[0]), pads, graph.name(values[1])]
  return Value(
    graph.add_node("Pad", names, mode="constant"), result_shape(equation)
  )


def _tile(graph, equation, values):
  times = graph.array([*equation.params["reps"]], np.int64)
  name = graph.add_node("Tile", [graph.expand(values[0]), times])
  return Value(name, result_shape(equation))


def _reduce(graph, equation, values):
  axes = graph.array([*equation.params["axes"]], np.int64)
  operator = _REDUCTIONS[equation.primitive.name]
  names = [graph.expand(values[0]), axes]
  return Value(
    graph.add_node(operator, names, keepdims=0), result_shape(equation)
  )


def _stack(graph, equation, values):
  axis = equation.params["axis"]
  names = []
  for value in values:
    shape = list(value.shape)
    shape.insert(axis, 1)
    names.append(reshape(graph, graph.expand(value), shape))
  return Value(
    graph.add_node("Concat", names, axis=axis), result_shape(equation)
  )


def _argmax(graph, equation, values):
  (axis,) = equation.params["axes"]
  name = graph.add_node(
    "ArgMax", [graph.expand(values[0])], axis=axis, keepdims=0
  )
  kind = helper.np_dtype_to_tensor_dtype(equation.params["index_dtype"])
  return Value(graph.add_node("Cast", [name], to=kind), result_shape(equation))


def _iota(graph, equation, values):
  shape = result_shape(equation)
  axis = equation.params["dimension"]
  if not isinstance(shape[axis], int):
    raise Unsupported("counting along the batch")
  narrow = [n if i == axis else 1 for i, n in enumerate(shape)]
  counted = np.arange(shape[axis]).reshape(narrow)
  name = graph.array(counted.astype(equation.params["dtype"]))
  return Value(name, shape, narrow=tuple(narrow) != shape)


def _dot(graph, equation, values):
  """Write a product of matrices, or any other contraction as an Einsum."""
  (left, right), (left_batch, right_batch) = equation.params[
    "dimension_numbers"
  ]
  x, y = values
  names = [graph.expand(value) for value in values]
  plain = tuple(left) == (len(x.shape) - 1,) and tuple(right) == (0,)
  if plain and len(y.shape) == 2 and not left_batch:
    return Value(graph.add_node("MatMul", names), result_shape(equation))
  letters = iter(string.ascii_lowercase)
  first = [next(letters) for _ in x.shape]
  second = [next(letters) for _ in y.shape]
  for i, j in zip((*left, *left_batch), (*right, *right_batch), strict=True):
    second[j] = first[i]
  shared = [first[i] for i in left_batch]
  rest = [first[i] for i in range(len(first)) if i not in (*left, *left_batch)]
  rest += [
    second[i] for i in range(len(second)) if i not in (*right, *right_batch)
  ]
  rule = f"{''.join(first)},{''.join(second)}->{''.join(shared + rest)}"
  return Value(
    graph.add_node("Einsum", names, equation=rule), result_shape(equation)
  )


OPERATORS: dict[str, Callable] = {
  **ELEMENTWISE,
  **dict.fromkeys(_REDUCTIONS, _reduce),
  "argmax": _argmax,
  "broadcast_in_dim": _broadcast,
  "concatenate": _concatenate,
  "conv_general_dilated": convolution,
  "convert_element_type": _convert,
  "copy": _itself,
  "dot_general": _dot,
  "expand_dims": _reshape,
  "gather": gather,
  "iota": _iota,
  "optimization_barrier": _itself,
  "pad": _pad,
  "reduce_window_max": max_pool,
  "reshape": _reshape,
  "slice": _slice,
  "squeeze": _reshape,
  "stack": _stack,
  "stop_gradient": _itself,
  "tile": _tile,
  "transpose": _transpose,
}
