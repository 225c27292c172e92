"""A decoder as a list of operators that the page's JavaScript runs.

It is the ONNX graph of `apps/export` in JSON. Its constants follow one another
in one string of bytes. They are 32-bit or 16-bit numbers, or 8-bit numbers in
blocks of 64; a block has one 32-bit factor.
"""

import base64
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cvae_jax.apps.export.graph import Unsupported

_SMALL = 64  # entries, at most, that are written into the list itself
BLOCK = 64  # 8-bit numbers that one 32-bit number multiplies
SCRIPTS = ("arrays.js", "convolutions.js", "operators.js")


class Program(NamedTuple):
  """A graph for operators.js, and the bytes of its constants as base64."""

  graph: Mapping[str, Any]
  weights: str


def script(name: str) -> str:
  """Return one of the files beside this one."""
  folder = resources.files("cvae_jax.apps.page")
  return (folder / name).read_text(encoding="utf-8")


def list_operators() -> set[str]:
  """Return the operators that the page computes: the keys of OPERATORS."""
  table = script("operators.js").partition("const OPERATORS = {\n")[2]
  table = table.partition("\n};")[0]
  return {*re.findall(r"^  (\w+): ", table, re.MULTILINE)}


def from_onnx(content: bytes, bits: int = 32) -> Program:
  """Return the program of an ONNX file with one output.

  Args:
    content: of the file.
    bits: 32, 16 or 8, of a weight.

  Raises:
    Unsupported: the page cannot compute one of its operators.
  """
  graph = onnx.load_from_string(content).graph
  if missing := {node.op_type for node in graph.node} - list_operators():
    raise Unsupported(
      f"the page cannot compute {', '.join(sorted(missing))}; use launch.export"
    )
  places: dict[str, int] = {}
  constants = []
  data = bytearray()
  for tensor in graph.initializer:
    places[tensor.name] = len(places)
    constants.append(_constant(numpy_helper.to_array(tensor), data, bits))
  for value in graph.input:
    places[value.name] = len(places)
  nodes = []
  for node in graph.node:
    places[node.output[0]] = len(places)
    nodes.append(
      {
        "operator": node.op_type,
        "inputs": [places[name] for name in node.input],
        "output": places[node.output[0]],
        "attributes": {a.name: _attribute(a) for a in node.attribute},
      }
    )
  found = {
    "constants": constants,
    "inputs": [places[value.name] for value in graph.input],
    "nodes": nodes,
    "output": places[graph.output[0].name],
  }
  return Program(found, base64.b64encode(bytes(data)).decode())


def _attribute(attribute: onnx.AttributeProto) -> Any:
  value = helper.get_attribute_value(attribute)
  return value.decode() if isinstance(value, bytes) else value


def quantise_blocks(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Return 8-bit numbers, and the 32-bit factor of each block of 64.

  The products of numbers and factors are the array's entries, in order.
  """
  flat = array.astype(np.float32).ravel()
  padded = np.pad(flat, (0, -len(flat) % BLOCK)).reshape(-1, BLOCK)
  scales = np.abs(padded).max(axis=1, keepdims=True) / np.float32(127)
  scales = np.where(scales > 0, scales, np.float32(1))
  codes = np.rint(padded / scales).astype(np.int8)
  return codes.ravel()[: len(flat)], scales[:, 0]


def _constant(array: np.ndarray, data: bytearray, bits: int) -> dict:
  """Describe a constant; append its bytes to the others if it is large."""
  shape = [*array.shape]
  if array.size <= _SMALL or array.dtype != np.float32:
    wide = np.clip(array.astype(np.float64), -3.4e38, 3.4e38)
    return {"shape": shape, "values": wide.ravel().tolist()}
  start = len(data)
  if bits == 8:
    codes, scales = quantise_blocks(array)
    data += scales.astype("<f4").tobytes() + codes.tobytes()
  else:
    data += array.astype("<f2" if bits == 16 else "<f4").tobytes()
  data += bytes(-len(data) % 4)
  return {"shape": shape, "start": start, "bits": bits}
