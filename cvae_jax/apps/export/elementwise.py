"""How operations that go entry by entry are written in ONNX."""

from collections.abc import Callable, Sequence

import numpy as np
from jax.extend.core import JaxprEqn
from jax.lax import RoundingMethod
from onnx import helper

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
  "sign": "Sign",
  "sqrt": "Sqrt",
  "sub": "Sub",
  "tanh": "Tanh",
}


def result_shape(equation: JaxprEqn) -> tuple:
  """Return the shape of an operation's result."""
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
    found[0] = graph.add_node("Expand", [found[0], graph.sizes(shape)])
  return found


def _check_booleans(equation: JaxprEqn) -> None:
  """Check that an operation is of truth values, as ONNX has it alone.

  Raises:
    Unsupported: it is of whole numbers.
  """
  if (kind := equation.invars[0].aval.dtype) != np.dtype(bool):
    raise Unsupported(f"the operation {equation.primitive.name!r} of {kind}")


def _logical(graph, equation, values):
  _check_booleans(equation)
  return _same(graph, equation, values)


def _div(graph, equation, values):
  """Write a quotient; that of whole numbers is cut, on a page too."""
  found = _same(graph, equation, values)
  kind = equation.outvars[0].aval.dtype
  if not np.issubdtype(kind, np.integer):
    return found
  whole = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
  return found._replace(name=graph.add_node("Cast", [found.name], to=whole))


def _round(graph, equation, values):
  """Write a rounding, of halves to even numbers, or away from 0 in JAX."""
  x = graph.expand(values[0])
  name = graph.add_node("Round", [x])
  if equation.params["rounding_method"] != RoundingMethod.TO_NEAREST_EVEN:
    half = graph.array(0.5, np.float32)
    rest = graph.add_node("Abs", [graph.add_node("Sub", [x, name])])
    outward = graph.add_node("Mul", [graph.add_node("Sign", [x]), half])
    outward = graph.add_node("Add", [x, outward])
    is_half = graph.add_node("Equal", [rest, half])
    name = graph.add_node("Where", [is_half, outward, name])
  return Value(name, result_shape(equation))


def _same(graph, equation, values):
  shape = result_shape(equation)
  names = elementwise(graph, shape, values)
  return Value(graph.add_node(_SAME[equation.primitive.name], names), shape)


def _sequence(*steps: tuple) -> Callable:
  """Return x put through (operator, constant or None) one after another."""

  def write(graph, equation, values):
    name = graph.expand(values[0])
    for operator, constant in steps:
      more = [] if constant is None else [graph.array(constant, np.float32)]
      name = graph.add_node(operator, [name, *more])
    return Value(name, result_shape(equation))

  return write


def _log1p(graph, equation, values):
  one = graph.array(1, np.float32)
  name = graph.add_node("Add", [graph.expand(values[0]), one])
  return Value(graph.add_node("Log", [name]), result_shape(equation))


def _integer_pow(graph, equation, values):
  power = graph.array(equation.params["y"], np.float32)
  name = graph.add_node("Pow", [graph.expand(values[0]), power])
  return Value(name, result_shape(equation))


def _select(graph, equation, values):
  if len(values) != 3:
    raise Unsupported("select_n of more than two cases")
  _check_booleans(equation)
  which, no, yes = values
  names = elementwise(graph, result_shape(equation), (which, yes, no))
  return Value(graph.add_node("Where", names), result_shape(equation))


def _clamp(graph, equation, values):
  low, x, high = (graph.expand(value) for value in values)
  name = graph.add_node("Max", [x, low])
  return Value(graph.add_node("Min", [name, high]), result_shape(equation))


def _remainder(graph, equation, values):
  shape = result_shape(equation)
  names = elementwise(graph, shape, values)
  name = graph.add_node("Mod", names, fmod=1)  # it has the dividend's sign
  return Value(name, shape)


def _not_equal(graph, equation, values):
  shape = result_shape(equation)
  names = elementwise(graph, shape, values)
  return Value(graph.add_node("Not", [graph.add_node("Equal", names)]), shape)


def _atan2(graph, equation, values):
  """Write the angle of (x, y), which ONNX has only of y / x; 0 of (0, 0)."""
  y, x = (graph.expand(value) for value in values)
  zero, pi = (graph.array(n, np.float32) for n in (0.0, np.pi))
  half = graph.add_node("Atan", [graph.add_node("Div", [y, x])])
  turn = graph.add_node("Neg", [pi])
  turn = graph.add_node("Where", [graph.add_node("Less", [y, zero]), turn, pi])
  turn = graph.add_node("Add", [half, turn])
  found = graph.add_node(
    "Where", [graph.add_node("Less", [x, zero]), turn, half]
  )
  none = [graph.add_node("Equal", [each, zero]) for each in (x, y)]
  none = graph.add_node("And", none)
  return Value(
    graph.add_node("Where", [none, zero, found]), result_shape(equation)
  )


ELEMENTWISE: dict[str, Callable] = {
  **dict.fromkeys(_SAME, _same),
  **dict.fromkeys(("and", "not", "or"), _logical),
  "div": _div,
  "round": _round,
  "atan2": _atan2,
  "clamp": _clamp,
  "expm1": _sequence(("Exp", None), ("Sub", 1)),
  "integer_pow": _integer_pow,
  "log1p": _log1p,
  "ne": _not_equal,
  "rem": _remainder,
  "rsqrt": _sequence(("Sqrt", None), ("Reciprocal", None)),
  "select_n": _select,
  "square": _sequence(("Pow", 2)),
}
