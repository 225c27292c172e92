"""How each operation of a traced network is written in ONNX.

`OPERATORS` maps the name of a JAX primitive to a function (graph, equation,
values) → Value. It holds what encoders, decoders and judges here are made of;
another primitive is an error that names it (`convert.py`).
"""

import string
from collections.abc import Callable, Sequence

import numpy as np
from jax.extend.core import JaxprEqn
from onnx import helper

from cvae_jax.apps.export.convolutions import convolution, max_pool
from cvae_jax.apps.export.graph import Graph, Unsupported, Value

_SAME = {  # elementwise: JAX's name → ONNX's
  "abs": "Abs",
  "add": "Add",
  "add_any": "Add",
  "and": "And",
  "div": "Div",
  "eq": "Equal",
  "erf": "Erf",
  "exp": "Exp",
  "ge": "GreaterOrEqual",
  "gt": "Greater",
  "le": "LessOrEqual",
  "log": "Log",
  "logistic": "Sigmoid",
  "lt": "Less",
  "max": "Max",
  "min": "Min",
  "mul": "Mul",
  "neg": "Neg",
  "not": "Not",
  "or": "Or",
  "pow": "Pow",
  "round": "Round",
  "sign": "Sign",
  "sqrt": "Sqrt",
  "sub": "Sub",
  "tanh": "Tanh",
}
_REDUCTIONS = {
  "reduce_max": "ReduceMax",
  "reduce_min": "ReduceMin",
  "reduce_sum": "ReduceSum",
}


def _shape(equation: JaxprEqn) -> tuple:
  return tuple(equation.outvars[0].aval.shape)


def elementwise(
  graph: Graph, shape: tuple, values: Sequence[Value], *names: str
) -> list[str]:
  """Return the inputs' names of an operation that broadcasts.

  One of them has to have the whole shape, or the result would be narrow.
  """
  found = [graph.name(value) for value in values]
  whole = [not v.narrow and tuple(v.shape) == shape for v in values]
  if shape and not any(whole):
    index = next(i for i, v in enumerate(values) if tuple(v.shape) == shape)
    found[index] = graph.whole(values[index])
  return found


def _same(graph, equation, values):
  shape = _shape(equation)
  names = elementwise(graph, shape, values)
  return Value(graph.node(_SAME[equation.primitive.name], names), shape)


def _sequence(*steps: tuple) -> Callable:
  """Return x put through (operator, constant or None) one after another."""

  def write(graph, equation, values):
    name = graph.whole(values[0])
    for operator, constant in steps:
      more = [] if constant is None else [graph.array(constant, np.float32)]
      name = graph.node(operator, [name, *more])
    return Value(name, _shape(equation))

  return write


def _log1p(graph, equation, values):
  one = graph.array(1, np.float32)
  name = graph.node("Add", [graph.whole(values[0]), one])
  return Value(graph.node("Log", [name]), _shape(equation))


def _integer_pow(graph, equation, values):
  power = graph.array(equation.params["y"], np.float32)
  name = graph.node("Pow", [graph.whole(values[0]), power])
  return Value(name, _shape(equation))


def _select(graph, equation, values):
  if len(values) != 3:
    raise Unsupported("select_n of more than two cases")
  which, no, yes = values
  names = elementwise(graph, _shape(equation), (which, yes, no))
  return Value(graph.node("Where", names), _shape(equation))


def _clamp(graph, equation, values):
  low, x, high = (graph.whole(value) for value in values)
  name = graph.node("Max", [x, low])
  return Value(graph.node("Min", [name, high]), _shape(equation))


def _convert(graph, equation, values):
  kind = helper.np_dtype_to_tensor_dtype(np.dtype(equation.params["new_dtype"]))
  name = graph.node("Cast", [graph.name(values[0])], to=kind)
  return Value(name, _shape(equation), narrow=values[0].narrow)


def _itself(graph, equation, values):
  return values[0]


def reshape(graph: Graph, name: str, shape: Sequence) -> str:
  """Add a reshape; one size of the new shape may depend on B."""
  symbolic = [n for n in shape if not isinstance(n, int)]
  if len(symbolic) > 1:
    raise Unsupported(f"a shape with two sizes that depend on B: {shape}")
  sizes = [n if isinstance(n, int) else -1 for n in shape]
  return graph.node("Reshape", [name, graph.array(sizes, np.int64)])


def _reshape(graph, equation, values):
  shape = _shape(equation)
  return Value(reshape(graph, graph.whole(values[0]), shape), shape)


def _broadcast(graph, equation, values):
  shape, kept = _shape(equation), equation.params["broadcast_dimensions"]
  (value, *_) = values
  narrow = [1] * len(shape)
  for axis, size in zip(kept, value.shape, strict=True):
    narrow[axis] = size
  name = reshape(graph, graph.whole(value), narrow)
  return Value(name, shape, narrow=tuple(narrow) != shape)


def _transpose(graph, equation, values):
  order = [*equation.params["permutation"]]
  name = graph.node("Transpose", [graph.whole(values[0])], perm=order)
  return Value(name, _shape(equation))


def _concatenate(graph, equation, values):
  axis = equation.params["dimension"]
  names = [graph.whole(value) for value in values if value.shape[axis] != 0]
  return Value(graph.node("Concat", names, axis=axis), _shape(equation))


def _slice(graph, equation, values):
  params, last = equation.params, np.iinfo(np.int64).max
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
  name = graph.node("Slice", [graph.whole(values[0]), *names])
  return Value(name, _shape(equation))


def _pad(graph, equation, values):
  low, high, inner = zip(*equation.params["padding_config"], strict=True)
  if any(inner):
    raise Unsupported("padding between the entries")
  pads = graph.array([*low, *high], np.int64)
  names = [graph.whole(values[0]), pads, graph.name(values[1])]
  return Value(graph.node("Pad", names, mode="constant"), _shape(equation))


def _gather(graph, equation, values):
  """Write the picking of rows along one axis, or the cutting of a box."""
  numbers, (x, index) = equation.params["dimension_numbers"], values
  sizes, shape = equation.params["slice_sizes"], _shape(equation)
  axes = numbers.start_index_map
  others = tuple(i for i in range(len(x.shape)) if i not in axes)
  whole = all(sizes[i] == x.shape[i] for i in others)
  if numbers.operand_batching_dims or not whole or index.constant is None:
    raise Unsupported("a gather by indices that depend on the input")
  cut = len(index.shape) == 1 and not numbers.collapsed_slice_dims
  if cut:
    starts = index.constant
    ends = [n + sizes[axis] for n, axis in zip(starts, axes, strict=True)]
    names = [graph.array([*n], np.int64) for n in (starts, ends, axes)]
    return Value(graph.node("Slice", [graph.whole(x), *names]), shape)
  rows = numbers.collapsed_slice_dims == axes and len(axes) == 1
  if not rows or index.shape[1:] != (1,) or numbers.offset_dims != others:
    raise Unsupported("a gather that is not of rows along one axis")
  picked = graph.array(index.constant[:, 0], np.int64)
  name = graph.node("Gather", [graph.whole(x), picked], axis=axes[0])
  return Value(name, shape)


def _tile(graph, equation, values):
  times = graph.array([*equation.params["reps"]], np.int64)
  name = graph.node("Tile", [graph.whole(values[0]), times])
  return Value(name, _shape(equation))


def _reduce(graph, equation, values):
  axes = graph.array([*equation.params["axes"]], np.int64)
  operator = _REDUCTIONS[equation.primitive.name]
  names = [graph.whole(values[0]), axes]
  return Value(graph.node(operator, names, keepdims=0), _shape(equation))


def _argmax(graph, equation, values):
  (axis,) = equation.params["axes"]
  name = graph.node("ArgMax", [graph.whole(values[0])], axis=axis, keepdims=0)
  kind = helper.np_dtype_to_tensor_dtype(equation.params["index_dtype"])
  return Value(graph.node("Cast", [name], to=kind), _shape(equation))


def _iota(graph, equation, values):
  shape, axis = _shape(equation), equation.params["dimension"]
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
  names = [graph.whole(value) for value in values]
  plain = tuple(left) == (len(x.shape) - 1,) and tuple(right) == (0,)
  if plain and len(y.shape) == 2 and not left_batch:
    return Value(graph.node("MatMul", names), _shape(equation))
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
  return Value(graph.node("Einsum", names, equation=rule), _shape(equation))


OPERATORS: dict[str, Callable] = {
  **dict.fromkeys(_SAME, _same),
  **dict.fromkeys(_REDUCTIONS, _reduce),
  "argmax": _argmax,
  "broadcast_in_dim": _broadcast,
  "clamp": _clamp,
  "concatenate": _concatenate,
  "conv_general_dilated": convolution,
  "convert_element_type": _convert,
  "copy": _itself,
  "dot_general": _dot,
  "expand_dims": _reshape,
  "expm1": _sequence(("Exp", None), ("Sub", 1)),
  "gather": _gather,
  "integer_pow": _integer_pow,
  "iota": _iota,
  "log1p": _log1p,
  "optimization_barrier": _itself,
  "pad": _pad,
  "reduce_window_max": max_pool,
  "reshape": _reshape,
  "rsqrt": _sequence(("Sqrt", None), ("Reciprocal", None)),
  "select_n": _select,
  "slice": _slice,
  "square": _sequence(("Pow", 2)),
  "squeeze": _reshape,
  "stop_gradient": _itself,
  "tile": _tile,
  "transpose": _transpose,
}
