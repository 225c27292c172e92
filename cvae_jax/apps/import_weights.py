"""Load weights of PyTorch or Keras into a network, by a table of names."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from cvae_jax.apps import weight_table
from cvae_jax.apps.export import functions, write as exporting
from cvae_jax.apps.weight_layouts import KERAS, PYTORCH, Layout, from_keras
from cvae_jax.data.files import weight_files
from cvae_jax.host import tensors
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import read_json
from cvae_jax.loop import job
from cvae_jax.loop.folder import run_data
from cvae_jax.runs import Run

CLOSE = 1e-4  # how much outputs may differ from theirs


def read(path: Path) -> tuple[dict[str, NDArray], Layout]:
  """Return the arrays of another program's file, and how they are laid out.

  PyTorch's are in a .safetensors file; Keras's in .h5, .weights.h5 or .keras.

  Raises:
    RunError: it is another kind of file.
    DamagedFile, DataError: it is cut or changed, or a package is missing.
  """
  ending = Path(path).suffix
  if ending == ".safetensors":
    return tensors.read(path)[0], PYTORCH
  if ending in (".h5", ".keras"):
    return from_keras(weight_files.read(Path(path))), KERAS
  raise RunError(
    f"{path} ends in none of .safetensors, .h5 and .keras; other weight files "
    "may hold code. In PyTorch write one with: safetensors.torch.save_file("
    'model.state_dict(), "m.safetensors"); in Keras: '
    'model.save_weights("m.weights.h5")'
  )


def read_pairs(path: Path) -> Mapping[str, NDArray]:
  """Return inputs and outputs of the other program, for `check`.

  Raises:
    DataError: it is no .safetensors or .npz file, or damaged.
  """
  return weight_files.read(Path(path))


def table(path: Path) -> dict[str, Any]:
  """Return a table of names from a JSON file."""
  return read_json(path, dict, "write one as docs/handing_on.md shows")


def write(
  config: ConfigDict,
  weights: Path,
  names: Path,
  out: Path,
  *,
  compare: Path | None = None,
  steps: int = 0,
  **choices: Any,
) -> list[str]:
  """Write an export of a config's network with another program's weights.

  Args:
    config: its data tell the conditions, so they have to be there.
    weights: theirs, see `read`.
    names: the table, a JSON file.
    out: the export's folder.
    compare: a .safetensors or .npz file of inputs and outputs; see `check`.
    steps: how long it was trained, for the model card.
    **choices: of `export.write`: formats, licence, note.

  Returns:
    What was compared and written, lines for people.

  Raises:
    RunError: the table does not fit, or outputs differ; nothing is written.
  """
  arrays, layout = read(weights)
  entries = table(names)
  own = choices.pop("note", "")
  choices["note"] = f"The weights come from another program. {own}".strip()
  with tempfile.TemporaryDirectory() as made:
    parts = job.prepare(config)
    run_data.keep_identity(Path(made), parts.identity)
    state = weight_table.fill_state(
      parts.system, arrays, entries, steps, layout
    )
    run = Run(Path(made), config, parts.conditions, parts.system, state)
    lines = ["note: nothing was compared with the other program; give --check"]
    if compare is not None:
      lines = check(run, read_pairs(compare))
    return lines + exporting.export(run, out, **choices)


def check(run: Run, pairs: Mapping[str, NDArray]) -> list[str]:
  """Compare a run's functions with what the other program computed.

  Args:
    run: the run.
    pairs: arrays by the names of `functions.from_run` with the function's own
      before them: decode.z, decode.condition, decode.image. Images are
      [B, H, W, C].

  Returns:
    A line for each function, which says how much the outputs differ.

  Raises:
    RunError: they are farther apart than CLOSE, or an array is missing.
  """
  known = functions.from_run(run)
  chosen = {name.partition(".")[0] for name in pairs}
  if not chosen or not chosen <= known.keys():
    raise RunError(
      f"the arrays to compare are of {', '.join(sorted(chosen)) or 'nothing'}; "
      f"expected names as decode.z, and functions of {', '.join(known)}"
    )
  lines = []
  for name in sorted(chosen):
    function = known[name]
    wanted = [f"{name}.{one}" for one in (*function.inputs, *function.outputs)]
    if missing := [one for one in wanted if one not in pairs]:
      raise RunError(f"no array {', '.join(missing)} to compare")
    values = [pairs[one] for one in wanted]
    count = len(function.inputs)
    outputs = jax.tree.leaves(function.apply(*values[:count]))
    for one, found, expected in zip(
      function.outputs, outputs, values[count:], strict=True
    ):
      if found.shape != expected.shape:
        raise RunError(
          f"{name}.{one} is {found.shape} here, and {expected.shape} there"
        )
      apart = float(np.abs(np.asarray(found) - expected).max())
      if not apart <= CLOSE:  # NaN, too
        raise RunError(
          f"{name}.{one} is {apart:.2g} away from the other program's; see "
          "the order of inputs, maps and activations, and the norms' epsilon"
        )
      lines.append(f"{name}.{one}: within {apart:.1g} of the other program's")
  return lines
