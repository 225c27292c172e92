"""Named arrays in a .safetensors file, written and read with NumPy alone.

The format: eight bytes, the length of a header; the header, JSON with each
array's type, shape and place; the arrays' bytes. It holds no code.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.files import DamagedFile, parse_json

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
_TYPES |= {"U8": "|u1", "BOOL": "|b1"}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_READ = _TYPES | {"I8": "|i1", "I16": "<i2", "U16": "<u2", "U32": "<u4"}
_READ |= {"U64": "<u8", "BF16": "<u2"}  # of other programs
_LONGEST = 100 << 20  # bytes of a header, as the format's own reader has it


def content(arrays: Mapping[str, NDArray], notes: Mapping[str, str]) -> bytes:
  """Return a file's content: arrays by name, and notes about them.

  The notes get the SHA-256 of the arrays' bytes, which `read` compares.
  """
  header = {}
  parts = []
  end = 0
  for name in sorted(arrays):
    array = np.asarray(arrays[name])
    array = array.astype(array.dtype.newbyteorder("<"), order="C")
    data = array.tobytes()
    header[name] = {
      "dtype": _NAMES[array.dtype],
      "shape": [*array.shape],
      "data_offsets": [end, end + len(data)],
    }
    end += len(data)
    parts.append(data)
  body = b"".join(parts)
  notes = {**notes, "sha256": hashlib.sha256(body).hexdigest()}
  text = json.dumps({"__metadata__": notes, **header}).encode()
  text += b" " * (-len(text) % 8)  # so that the arrays lie at multiples of 8
  return len(text).to_bytes(8, "little") + text + body


def read(path: Path) -> tuple[dict[str, NDArray], dict[str, str]]:
  """Read a file: ({name: array}, its notes).

  Raises:
    DamagedFile: it is cut, changed or no .safetensors file.
    OSError: it cannot be opened.
  """
  data = Path(path).read_bytes()
  try:
    header, body = _parts(data)
    notes = header.pop("__metadata__", {})
    arrays = {name: _array(entry, body) for name, entry in header.items()}
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise DamagedFile(
      f"{path} is damaged, or no .safetensors file ({error}); bring a copy of "
      "it back, or export the run again"
    ) from None
  wanted = notes.get("sha256")
  if wanted is not None and hashlib.sha256(body).hexdigest() != wanted:
    raise DamagedFile(
      f"{path} is damaged: its arrays are not those that were written "
      "(SHA-256); bring a copy of it back, or export the run again"
    )
  return arrays, notes


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
  size = int.from_bytes(data[:8], "little")
  if len(data) < 8 or size > min(len(data) - 8, _LONGEST):
    raise ValueError(f"{len(data)} bytes are fewer than its header says")
  header = parse_json(data[8 : 8 + size])
  if not isinstance(header, dict):
    raise ValueError("its header is no mapping")
  return header, data[8 + size :]


def _array(entry: Mapping[str, Any], body: bytes) -> NDArray:
  name = entry["dtype"]
  if name not in _READ:
    raise ValueError(
      f"an array is of type {name}; expected {', '.join(_READ)}: save it as "
      "float32"
    )
  kind = np.dtype(_READ[name])
  shape = tuple(entry["shape"])
  begin, end = entry["data_offsets"]
  if not 0 <= begin <= end <= len(body):
    raise ValueError(f"{len(body)} bytes of arrays are fewer than it says")
  found = np.frombuffer(body[begin:end], kind).reshape(shape)
  if name == "BF16":  # the upper half of a float32
    return (found.astype("<u4") << 16).view("<f4")
  return found
