"""How gathers are written in ONNX: of rows, points and a table's entries."""

import numpy as np
from jax.extend.core import JaxprEqn

from cvae_jax.apps.export.elementwise import result_shape
from cvae_jax.apps.export.graph import Graph, Unsupported, Value


def gather(graph: Graph, equation: JaxprEqn, values) -> Value:
  """Write a gather of one of four kinds.

  It cuts a box, or picks rows along one axis, points along the last axes, or
  entries of a table. Only the positions in a table may depend on the input.

  Raises:
    Unsupported: it is of another kind.
  """
  numbers, (x, index) = equation.params["dimension_numbers"], values
  sizes = equation.params["slice_sizes"]
  shape = result_shape(equation)
  axes = tuple(map(int, numbers.start_index_map))
  collapsed = tuple(map(int, numbers.collapsed_slice_dims))
  others = tuple(i for i in range(len(x.shape)) if i not in axes)
  whole = all(sizes[i] == x.shape[i] for i in others)
  if numbers.operand_batching_dims or not whole:
    raise Unsupported("a gather of parts of each row")
  if index.constant is None:
    return _look_up_constant(graph, x, index, collapsed == axes, shape)
  if len(index.shape) == 1 and not collapsed:
    return _box(graph, x, index, axes, sizes, shape)
  if collapsed != axes:
    raise Unsupported("a gather that is not of rows along one axis")
  if len(axes) == 1 and index.shape[1:] == (1,):
    if tuple(numbers.offset_dims) != others:
      raise Unsupported("a gather whose rows change their axis")
    picked = graph.array(index.constant[:, 0], np.int64)
    name = graph.add_node("Gather", [graph.expand(x), picked], axis=axes[0])
    return Value(name, shape)
  if tuple(numbers.offset_dims) != others or others != tuple(
    range(len(others))
  ):
    raise Unsupported("a gather of points that are not along the last axes")
  return _points(graph, x, index, axes, shape)


def _box(graph, x, index, axes, sizes, shape) -> Value:
  starts = index.constant
  ends = [n + sizes[axis] for n, axis in zip(starts, axes, strict=True)]
  names = [graph.array([*n], np.int64) for n in (starts, ends, axes)]
  return Value(graph.add_node("Slice", [graph.expand(x), *names]), shape)


def _points(graph, x, index, axes, shape) -> Value:
  """Lay the last axes out as one, and pick entries of that."""
  inside = tuple(x.shape[axis] for axis in axes)
  places = np.moveaxis(index.constant, -1, 0)
  flat = np.ravel_multi_index(tuple(places), inside)
  first = x.shape[: axes[0]]
  sizes = [n if isinstance(n, int) else -1 for n in first] + [-1]
  if sizes.count(-1) > 1:
    sizes = [0] * len(first) + [-1]  # 0: as it was
  laid = graph.add_node(
    "Reshape", [graph.expand(x), graph.array(sizes, np.int64)]
  )
  picked = graph.array(flat, np.int32)
  name = graph.add_node("Gather", [laid, picked], axis=len(first))
  return Value(name, shape)


def _look_up_constant(graph, x, index, plain: bool, shape) -> Value:
  """Look entries of a constant [K] up; places outside of it are its ends."""
  if x.constant is None or len(x.shape) != 1 or not plain:
    raise Unsupported("a gather by indices that depend on the input")
  first = graph.array(0, np.int64)
  last = graph.array(x.shape[0] - 1, np.int64)
  places = graph.add_node("Cast", [graph.expand(index)], to=7)  # int64
  places = graph.add_node("Min", [graph.add_node("Max", [places, first]), last])
  minus = graph.array([-1], np.int64)
  places = graph.add_node("Squeeze", [places, minus])
  return Value(graph.add_node("Gather", [graph.name(x), places]), shape)
