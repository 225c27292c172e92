"""An ONNX graph under construction: nodes, constants, and lazy broadcasts.

A value of the graph has the shape that JAX gives it, whose first axis may be
symbolic (B, or a multiple of it). Elementwise operations of ONNX
broadcast like NumPy's. So a broadcast is written only where another operation
needs the whole array. A `Value` knows whether it is still narrow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # from 2022, which all runtimes in use can read
IR_VERSION = 8  # the file format of that time


class Unsupported(ValueError):
  """Says which operation of a network has no translation."""


class Value(NamedTuple):
  """An array of the graph, or a constant of it."""

  name: str
  shape: tuple  # of ints and symbolic sizes, as JAX has it
  constant: np.ndarray | None = None
  narrow: bool = False  # the array in the graph has 1 where this is wider


class Graph:
  """Collects the nodes of one function."""

  def __init__(self, batch: Any, source: str):
    self.batch = batch  # the symbol B
    self._source = source  # the name of an input whose first axis is B
    self._nodes: list[onnx.NodeProto] = []
    self._constants: dict[bytes, onnx.TensorProto] = {}
    self._count = 0

  def add_node(
    self, operator: str, inputs: Sequence[str], **attributes: Any
  ) -> str:
    """Add a node with one output; return the output's name."""
    self._count += 1
    name = f"{operator.lower()}_{self._count}"
    self._nodes.append(
      helper.make_node(operator, [*inputs], [name], name=name, **attributes)
    )
    return name

  def array(self, values: Any, kind: Any = None) -> str:
    """Add a constant, or find an equal one; return its name."""
    values = np.asarray(values, kind)
    key = f"{values.dtype} {values.shape} ".encode() + values.tobytes()
    if key not in self._constants:
      name = f"constant_{len(self._constants)}"
      self._constants[key] = numpy_helper.from_array(values, name)
    return self._constants[key].name

  def name(self, value: Value) -> str:
    """Return a value's name in the graph, as narrow as it may be."""
    if value.constant is not None:
      return self.array(value.constant)
    return value.name

  def expand(self, value: Value) -> str:
    """Return the name of the whole array; broadcast it if it is narrow."""
    if not value.narrow:
      return self.name(value)
    return self.add_node("Expand", [self.name(value), self.sizes(value.shape)])

  def sizes(self, shape: Sequence) -> str:
    """Return the name of a shape as an array; it may depend on B."""
    if all(isinstance(n, int) for n in shape):
      return self.array(shape, np.int64)
    parts = []
    for n in shape:
      if isinstance(n, int):
        parts.append(self.array([n], np.int64))
        continue
      times = self.multiple(n)
      batch = self.add_node("Shape", [self._source], start=0, end=1)
      factor = self.array([times], np.int64)
      parts.append(
        batch if times == 1 else self.add_node("Mul", [batch, factor])
      )
    return self.add_node("Concat", parts, axis=0)

  def multiple(self, size: Any) -> int:
    """Return n of a symbolic size n · B."""
    times = size // self.batch
    if not isinstance(times, int) or times * self.batch != size:
      raise Unsupported(f"a size of {size} depends on the batch otherwise")
    return times

  def model(
    self,
    inputs: Mapping[str, Sequence],
    outputs: Mapping[str, Value],
    notes: Mapping[str, str],
  ) -> bytes:
    """Return the checked model as a file's content.

    Args:
      inputs: {name: shape}, float32.
      outputs: {name: value}, float32.
      notes: what the file says of itself.
    """
    for name, value in outputs.items():
      self._nodes.append(
        helper.make_node("Identity", [self.expand(value)], [name], name=name)
      )
    shapes = {name: value.shape for name, value in outputs.items()}
    self._prune(outputs)
    used = {name for node in self._nodes for name in node.input}
    graph = helper.make_graph(
      self._nodes,
      "cvae_jax",
      [self._value_info(name, shape) for name, shape in inputs.items()],
      [self._value_info(name, shape) for name, shape in shapes.items()],
      initializer=[
        array for array in self._constants.values() if array.name in used
      ],
    )
    model = helper.make_model(
      graph,
      producer_name="cvae_jax",
      ir_version=IR_VERSION,
      opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, dict(notes))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)

  def _prune(self, outputs: Sequence[str]) -> None:
    """Leave out the nodes on which no output depends."""
    needed = {*outputs}
    kept = []
    for node in reversed(self._nodes):
      if needed & {*node.output}:
        needed |= {*node.input}
        kept.append(node)
    self._nodes = kept[::-1]

  def _value_info(self, name: str, shape: Sequence):
    shape = [n if isinstance(n, int) else str(n) for n in shape]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
