"""A table of names: which layer of a PyTorch model is which one here.

A table says of each layer here which one of theirs it is:

    {"encoder.dense_0": "fc1",
     "encoder.mean": "fc21",
     "decoder.conv_0": {"from": "up.0", "as": "conv_transpose"}}

An entry is a name, or {"from": a name or several, whose outputs follow one
another; "as": linear, conv, conv_transpose or norm, which the shapes tell but
for conv_transpose; "in": [[first, end], …], the blocks of their inputs in the
order here; "in_map" and "out_map": [H, W, C] where a dense layer reads or
writes a map, which PyTorch lays out as [C, H, W]}. The key "ignore" lists what
of theirs is left out.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.host.arguments import RunError
from cvae_jax.loop.integrity import path_name
from cvae_jax.loop.restore import abstract_state
from cvae_jax.types import System, TrainState

_KEYS = {"from", "as", "in", "in_map", "out_map"}
_KINDS = ("linear", "conv", "conv_transpose", "norm")
_PARTS = {  # ours → theirs
  "kernel": "weight",
  "bias": "bias",
  "scale": "weight",
  "mean": "running_mean",
  "var": "running_var",
}
_COUNTER = "num_batches_tracked"  # of a norm there; nothing reads it


def filled(
  system: System,
  arrays: Mapping[str, NDArray],
  names: Mapping[str, Any],
  steps: int = 0,
) -> TrainState:
  """Return a system's state with the parameters and statistics of a file.

  Args:
    system: its networks tell which arrays there are.
    arrays: theirs, {name: array}.
    names: the table; see above.
    steps: how long it was trained, for the model card.

  Raises:
    RunError: an array here has none of theirs, one of theirs is read by none,
      or shapes differ.
  """
  entries = _entries(names)
  abstract = abstract_state(system)
  read: set[str] = _ignored(names)
  layers: set[str] = set()
  if lost := sorted(read - arrays.keys()):
    raise RunError(f"ignore names {', '.join(lost)}, which the file has not")

  def fill(path, leaf):
    name = path_name(path).replace("/", ".")
    layer, _, part = name.rpartition(".")
    layers.add(layer)
    entry = entries.get(layer)
    if entry is None:
      raise RunError(
        f"the table says nothing of {layer} (its {part} is {leaf.shape}); "
        f"there is {_near(arrays, read)}"
      )
    found = _converted(name, part, entry, arrays, read)
    if found.shape != leaf.shape:
      raise RunError(
        f"{layer}: its {part} is {leaf.shape} here, and {found.shape} of "
        f"{', '.join(entry['from'])}"
      )
    found = found.astype(leaf.dtype)
    if not np.isfinite(found).all():
      raise RunError(
        f"{layer}: its {part}, of {', '.join(entry['from'])}, has values that "
        "are no finite numbers; save the model again before it diverged"
      )
    return jax.numpy.asarray(found)

  trees = {
    kind: jax.tree_util.tree_map_with_path(fill, getattr(abstract, kind))
    for kind in ("params", "model_state")
  }
  _check_read(entries, layers, arrays, read)
  step = jax.numpy.asarray(steps, jax.numpy.int32)
  return TrainState(step=step, opt_state={}, **trees)


def _check_read(entries, layers: set, arrays: Mapping, read: set) -> None:
  """Check that no entry and no array of theirs is of no use."""
  if idle := sorted(entries.keys() - layers):
    raise RunError(
      f"the table names {', '.join(idle)}, and no layer here is called so; "
      f"there is {', '.join(sorted(layers))}"
    )
  unread = [n for n in arrays if n not in read and not n.endswith(_COUNTER)]
  if unread:
    raise RunError(
      f"no layer here reads {', '.join(sorted(unread)[:8])}; give them in the "
      'table, or list them under "ignore"'
    )


def _entries(names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Return the table with each entry whole."""
  found = {}
  for layer, said in names.items():
    if layer == "ignore":
      continue
    entry = said if isinstance(said, dict) else {"from": said}
    origin = entry.get("from")
    origin = [origin] if isinstance(origin, str) else origin
    if not origin or entry.keys() - _KEYS:
      raise RunError(
        f"the table's entry of {layer} is {said!r}; expected a name, or a "
        f"mapping of {', '.join(sorted(_KEYS))}"
      )
    entry = {**entry, "from": origin}
    for key, (fits, expected) in _FORMS.items():
      if key in entry and not fits(entry[key]):
        raise RunError(
          f"{layer}: its {key!r} is {entry[key]!r}; expected {expected}"
        )
    found[layer] = entry
  return found


def _ignored(names: Mapping[str, Any]) -> set[str]:
  """Return the names that the table leaves out."""
  found = names.get("ignore", [])
  if not _are_names(found):
    raise RunError(f"the table's ignore is {found!r}; expected a list of names")
  return set(found)


def _are_names(found: Any) -> bool:
  return isinstance(found, list) and all(isinstance(n, str) for n in found)


def _are_sizes(found: Any, count: int, least: int) -> bool:
  whole = isinstance(found, list) and all(type(n) is int for n in found)
  return whole and len(found) == count and min(found) >= least


def _are_blocks(found: Any) -> bool:
  return isinstance(found, list) and all(_are_sizes(b, 2, 0) for b in found)


def _is_map(found: Any) -> bool:
  return _are_sizes(found, 3, 1)


_FORMS = {  # what an entry may be
  "from": (_are_names, "a name, or a list of names"),
  "as": (_KINDS.__contains__, ", ".join(_KINDS)),
  "in": (_are_blocks, "blocks [[first, end], …]"),
  "in_map": (_is_map, "[height, width, channels]"),
  "out_map": (_is_map, "[height, width, channels]"),
}


def _converted(name, part, entry, arrays, read) -> NDArray:
  """Return one array as it is here."""
  parts = []
  for origin in entry["from"]:
    theirs = f"{origin}.{_PARTS.get(part, part)}"
    if theirs not in arrays:
      raise RunError(
        f"{name} is to be {theirs}, which is not in the file; there is "
        f"{_near(arrays, read)}"
      )
    read.add(theirs)
    parts.append(_turned(name, part, entry, arrays[theirs]))
  found = np.concatenate(parts, axis=-1)
  if part == "kernel" and "in" in entry:
    rows = [np.arange(len(found))[first:end] for first, end in entry["in"]]
    order = np.concatenate(rows)
    if sorted(order) != [*range(len(found))]:
      raise RunError(
        f"{name}: the blocks {entry['in']} are not each of its {len(found)} "
        "inputs once"
      )
    found = found[order]
  return found


def _turned(name: str, part: str, entry: Mapping, array: NDArray) -> NDArray:
  """Return an array of theirs in the layout here."""
  if not np.issubdtype(array.dtype, np.floating):
    raise RunError(
      f"{name}: theirs is of {array.dtype}; expected floating-point numbers: "
      "save the weights before they are quantised"
    )
  if part == "kernel":
    _check_use(name, entry, array)
  if part == "kernel" and array.ndim == 4:
    if entry.get("as") == "conv_transpose":  # [in, out, k, k], and turned round
      return array[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    return array.transpose(2, 3, 1, 0)
  if part == "kernel" and array.ndim == 2:
    array = _map(name, array.T, entry.get("in_map"), 0)
    return _map(name, array, entry.get("out_map"), 1)
  return _map(name, array, entry.get("out_map"), 0)


def _check_use(name: str, entry: Mapping, kernel: NDArray) -> None:
  """Check that an entry says nothing that this kernel would not follow."""
  dense = kernel.ndim == 2
  kinds = ("linear",) if dense else ("conv", "conv_transpose")
  if entry.get("as", kinds[0]) not in kinds:
    raise RunError(
      f"{name}: the table says {entry['as']}, and theirs is {kernel.shape}: "
      f"expected {' or '.join(kinds)}, or nothing"
    )
  idle = [key for key in ("in", "in_map", "out_map") if key in entry]
  if idle and not dense:
    why = f"is for dense layers, and theirs is {kernel.shape}; leave it out"
    raise RunError(f"{name}: {idle[0]} {why}")


def _map(name: str, array: NDArray, shape, axis: int) -> NDArray:
  """Order an axis as [H, W, C] that is as [C, H, W]; what follows stays."""
  if shape is None:
    return array
  size = int(np.prod(shape))
  height, width, channels = shape
  if size > array.shape[axis]:
    raise RunError(
      f"{name}: a map of {shape} has {size} entries, and the layer "
      f"{array.shape[axis]}"
    )
  order = np.arange(size).reshape(channels, height, width).transpose(1, 2, 0)
  rest = np.arange(size, array.shape[axis])
  return np.take(array, np.concatenate([order.ravel(), rest]), axis)


def _near(arrays: Mapping, read: set) -> str:
  """Name some arrays of theirs that no layer has read."""
  left = sorted(name for name in arrays if name not in read)
  return ", ".join(left[:8]) + (", …" if len(left) > 8 else "")
