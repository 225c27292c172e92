"""A decoder as a list of operators that the page's JavaScript runs.

It is the ONNX graph of `apps/export` in JSON. Its constants follow one another
in one string of bytes. They are 32-bit or 16-bit numbers, or 8-bit numbers in
blocks of 64; a block has one 32-bit factor.

Only a network's own kernels are shortened, in their own order of entries. So
`write.py` knows what shorter ones do to a picture without running the page.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
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


def from_onnx(
  content: bytes, bits: int = 32, kernels: Iterable[np.ndarray] = ()
) -> Program:
  """Return the program of an ONNX file with one output.

  Args:
    content: of the file.
    bits: 32, 16 or 8, of a weight.
    kernels: the arrays of the network, that may have 8 bits. Constants that
      were computed from them have 16 at least.

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
  own = {_digest(array) for array in kernels} if bits == 8 else set()
  used = {node.input[1]: node.op_type for node in graph.node if node.input[1:]}
  for tensor in graph.initializer:
    places[tensor.name] = len(places)
    array = numpy_helper.to_array(tensor)
    layout = used.get(tensor.name, "")
    constants.append(_constant(array, data, bits, layout, own))
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


def is_short(array: np.ndarray) -> bool:
  """Tell whether an array may have fewer bits: if it is no vector."""
  return array.size > _SMALL and sum(n > 1 for n in array.shape) > 1


def _digest(array: np.ndarray) -> bytes:
  return hashlib.sha256(np.asarray(array, np.float32).tobytes()).digest()


def _turn(kernel: np.ndarray, operator: str) -> np.ndarray:
  """View a kernel [k, k, in, out] as an operator has it, see convolutions."""
  if operator == "Conv":
    return kernel.transpose(3, 2, 0, 1)
  if operator == "ConvTranspose":
    return kernel[::-1, ::-1].transpose(2, 3, 0, 1)
  return kernel


def _turn_back(array: np.ndarray, operator: str) -> np.ndarray:
  """Return an operator's array as the network's own kernel."""
  if operator == "Conv":
    array = array.transpose(2, 3, 1, 0)
  if operator == "ConvTranspose":
    array = array[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
  return np.ascontiguousarray(array)


def _constant(
  array: np.ndarray,
  data: bytearray,
  bits: int,
  operator: str,
  own: Collection[bytes],
) -> dict:
  """Describe a constant; append its bytes to the others if it is large."""
  shape = [*array.shape]
  if array.size <= _SMALL or array.dtype != np.float32:
    wide = np.clip(array.astype(np.float64), -3.4e38, 3.4e38)
    return {"shape": shape, "values": wide.ravel().tolist()}
  kernel = _turn_back(array, operator)
  if not is_short(array):
    bits = 32
  elif bits == 8 and _digest(kernel) not in own:
    bits = 16
  start = len(data)
  if bits == 8:
    codes, scales = quantise_blocks(kernel)
    data += scales.astype("<f4").tobytes() + codes.tobytes()
  else:
    data += kernel.astype("<f2" if bits == 16 else "<f4").tobytes()
  data += bytes(-len(data) % 4)
  # Where the array's entries are in the kernel: the first, and then how far on.
  strides = [n // kernel.itemsize for n in _turn(kernel, operator).strides]
  back = [(n - 1) * -s for n, s in zip(shape, strides, strict=True) if s < 0]
  found = {"shape": shape, "start": start, "bits": bits}
  return found | {"strides": strides, "first": sum(back)}
