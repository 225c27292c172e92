"""A table of names: which layer of another program is which one here.

A table names the other program's layer for each layer here:

    {"encoder.dense_0": "fc1",
     "encoder.mean": "fc21",
     "decoder.conv_0": {"from": "up.0", "as": "conv_transpose"}}

An entry is a name, or a dictionary with these keys:

    from      a name, or several names whose outputs are joined
    as        linear, conv, conv_transpose or norm; only conv_transpose has to
              be given, the shapes tell the others
    in        [[first, end], …], the blocks of their inputs in the order here
    in_map    [H, W, C], if a dense layer reads a map that lies there as
              [C, H, W], as PyTorch's maps do
    out_map   the same, if it writes such a map

The key "ignore" lists their layers that are left out.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from cvae_jax.apps import weight_entries
from cvae_jax.apps.weight_layouts import PYTORCH, Layout
from cvae_jax.host.arguments import RunError
from cvae_jax.host.wording import shorten
from cvae_jax.loop.folder.integrity import leaf_name
from cvae_jax.loop.folder.restore import abstract_state
from cvae_jax.types import System, TrainState

_COUNTER = "num_batches_tracked"  # an array of a norm there that nothing reads


def fill_state(
  system: System,
  arrays: Mapping[str, NDArray],
  names: Mapping[str, Any],
  steps: int = 0,
  layout: Layout = PYTORCH,
) -> TrainState:
  """Return a system's state with the parameters and statistics of a file.

  Args:
    system: its networks tell which arrays there are.
    arrays: theirs, {name: array}.
    names: the table; see above.
    steps: how long it was trained, for the model card.
    layout: of the other program.

  Raises:
    RunError: an array here has none of theirs, one of theirs is read by none,
      or shapes differ.
  """
  entries = weight_entries.entries(names)
  abstract = abstract_state(system)
  read: set[str] = weight_entries.list_ignored(names)
  layers: set[str] = set()
  if lost := sorted(read - arrays.keys()):
    raise RunError(f"ignore names {', '.join(lost)}, which the file has not")

  def fill(path, leaf):
    name = leaf_name(path).replace("/", ".")
    layer, _, part = name.rpartition(".")
    layers.add(layer)
    entry = entries.get(layer)
    if entry is None:
      raise RunError(
        f"the table says nothing of {layer} (its {part} is {leaf.shape}); "
        f"there is {_name_unread(arrays, read)}"
      )
    found = _convert_array(name, entry, arrays, read, layout)
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
  """Check that every entry and every array of theirs was used."""
  if idle := sorted(entries.keys() - layers):
    raise RunError(
      f"the table names {', '.join(idle)}, and no layer here is called so; "
      f"there is {', '.join(sorted(layers))}"
    )
  unread = [n for n in arrays if n not in read and not n.endswith(_COUNTER)]
  if unread:
    raise RunError(
      f"no layer here reads {shorten(sorted(unread), 8)}; give them in the "
      'table, or list them under "ignore"'
    )


def _convert_array(name, entry, arrays, read, layout: Layout) -> NDArray:
  """Return one array as it is here."""
  part = name.rpartition(".")[2]
  parts = []
  for origin in entry["from"]:
    names = [f"{origin}.{one}" for one in layout.parts.get(part, (part,))]
    theirs = next((one for one in names if one in arrays), None)
    if theirs is None:
      raise RunError(
        f"{name} is to be {' or '.join(names)}, which is not in the file; "
        f"there is {_name_unread(arrays, read)}"
      )
    read.add(theirs)
    parts.append(_to_layout(name, entry, arrays[theirs], layout))
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


def _to_layout(
  name: str, entry: Mapping, array: NDArray, layout: Layout
) -> NDArray:
  """Return an array of theirs in the layout here."""
  if not np.issubdtype(array.dtype, np.floating):
    raise RunError(
      f"{name}: theirs is of {array.dtype}; expected floating-point numbers: "
      "save the weights before they are quantised"
    )
  if not name.endswith(".kernel"):
    return _map(name, array, entry.get("out_map"), 0)
  _check_use(name, entry, array)
  if array.ndim not in (2, 4):  # no layer here has such; its shape is said
    return array
  array = layout.turn(array, entry.get("as") == "conv_transpose")
  if array.ndim == 4:
    return array
  array = _map(name, array, entry.get("in_map"), 0)
  return _map(name, array, entry.get("out_map"), 1)


def _check_use(name: str, entry: Mapping, kernel: NDArray) -> None:
  """Check that an entry has no key that has no effect on this kernel."""
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
  """Reorder an axis from [C, H, W] to [H, W, C]; the rest of it stays."""
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


def _name_unread(arrays: Mapping, read: set) -> str:
  """Name some of their arrays that no layer has read."""
  return shorten(sorted(name for name in arrays if name not in read), 8)
