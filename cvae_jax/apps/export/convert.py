"""Write a function of arrays as an ONNX file, for any batch size.

The function is traced with a symbolic batch size, and `operators.py` writes
each operation of the trace. Values that depend only on parameters are computed
here and become constants. The package jax2onnx does the same, but it needs
another release of orbax than the one that writes checkpoints here.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from cvae_jax.apps.export import trace
from cvae_jax.apps.export.graph import Graph, Unsupported, Value
from cvae_jax.apps.export.operators import OPERATORS
from cvae_jax.nets.fast import ops

# Operations that apply a function once, as it is. Others that hold a function
# are loops (scan) or combine entries by it (reduce).
_CALLS = (
  *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2"),
  *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
)


def to_onnx(
  function: Callable,
  inputs: Mapping[str, Sequence[int]],
  outputs: Sequence[str],
  notes: Mapping[str, str] | None = None,
) -> bytes:
  """Return an ONNX file's content that computes `function`.

  Args:
    function: of float32 arrays [B, …]; returns one array [B, …] or a tuple.
    inputs: {name: the shape of one example}.
    outputs: the names of what it returns.
    notes: {key: text} for the file's metadata.

  Raises:
    Unsupported: it has an operation that has no translation.
  """
  arguments = trace.symbolic(inputs)
  with ops.trace_plain():
    traced = jax.make_jaxpr(lambda *xs: jax.tree.leaves(function(*xs)))(
      *arguments
    )
  graph = Graph(arguments[0].shape[0], next(iter(inputs)))
  values = [
    Value(name, tuple(x.shape))
    for name, x in zip(inputs, arguments, strict=True)
  ]
  results = _write(graph, traced, values)
  return graph.model(
    {value.name: value.shape for value in values},
    dict(zip(outputs, results, strict=True)),
    notes or {},
  )


def _write(
  graph: Graph, closed: ClosedJaxpr, values: Sequence[Value]
) -> list[Value]:
  """Write a trace's operations; return its results."""
  known = dict(zip(closed.jaxpr.invars, values, strict=True))
  consts = zip(closed.jaxpr.constvars, closed.consts, strict=True)
  known |= {variable: _constant(array) for variable, array in consts}

  def read(atom) -> Value:
    if isinstance(atom, Literal):  # a Python number has no type of its own
      return _constant(np.asarray(atom.val, atom.aval.dtype))
    return known[atom]

  for equation in closed.jaxpr.eqns:
    found = [read(atom) for atom in equation.invars]
    results = _equation(graph, equation, found)
    known |= dict(zip(equation.outvars, results, strict=True))
  return [read(atom) for atom in closed.jaxpr.outvars]


def _constant(array) -> Value:
  array = np.asarray(array)
  return Value("", array.shape, array)


def _equation(graph: Graph, equation, values: list[Value]) -> list[Value]:
  name = equation.primitive.name
  shapes = [variable.aval.shape for variable in equation.outvars]
  fixed = all(isinstance(n, int) for shape in shapes for n in shape)
  if fixed and all(value.constant is not None for value in values):
    return _compute(equation, values)
  if fixed and all(0 in shape for shape in shapes):
    return [_constant(np.zeros(shape, np.float32)) for shape in shapes]
  if name in _CALLS:
    for inner in ("call_jaxpr", "jaxpr", "fun_jaxpr"):
      if isinstance(found := equation.params.get(inner), ClosedJaxpr):
        return _write(graph, found, values)
      if isinstance(found, Jaxpr) and not found.constvars:
        return _write(graph, ClosedJaxpr(found, []), values)
  if name == "split":
    return _split(graph, equation, values[0])
  if name not in OPERATORS:
    raise Unsupported(f"no translation to ONNX for the operation {name!r}")
  return [OPERATORS[name](graph, equation, values)]


def _compute(equation, values: list[Value]) -> list[Value]:
  """Compute an operation whose inputs are all known."""
  arrays = [value.constant for value in values]
  found = equation.primitive.bind(*arrays, **equation.params)
  if not equation.primitive.multiple_results:
    found = [found]
  return [_constant(array) for array in found]


def _split(graph: Graph, equation, value: Value) -> list[Value]:
  axis = equation.params["axis"]
  end = 0
  results = []
  for variable, size in zip(
    equation.outvars, equation.params["sizes"], strict=True
  ):
    numbers = ([end], [end + size], [axis])
    names = [graph.array(each, np.int64) for each in numbers]
    name = graph.add_node("Slice", [graph.expand(value), *names])
    results.append(Value(name, tuple(variable.aval.shape)))
    end += size
  return results
