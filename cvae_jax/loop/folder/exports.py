"""An exported run: one folder without checkpoints, read like a run.

model.safetensors holds the state's arrays by name, as in
params.encoder.conv_0.kernel. Its notes hold the step, and the SHA-256 of the
other files, which say what the arrays mean. Nothing in the folder is code.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cvae_jax.host import commands, tensors
from cvae_jax.host.files import DamagedFile
from cvae_jax.host.paths import PACKAGE, local
from cvae_jax.loop.folder import checkpoint_names as checkpoints
from cvae_jax.loop.folder.checkpoint_names import WEIGHTS, is_export
from cvae_jax.loop.folder.integrity import CheckpointError, check_names, shapes
from cvae_jax.loop.folder.run_data import RunMismatch
from cvae_jax.types import PyTree, System, TrainState

FORMAT = "cvae_jax"
VERSION = 1
ENCODER = "encoder"  # the branch of params that an export may leave out
LEFT_OUT = "left_out"  # the note that says so
SEALED = ("config.json", "conditions.json", "data.json")
_REMEDY = "bring a copy of it back, or export the run again"


def refuse_training(folder: Path) -> None:
  """Refuse to train in an export's folder.

  Raises:
    RunMismatch: it is one.
  """
  if is_export(folder):
    raise RunMismatch(
      f"{folder} is an export, which cannot be trained further; begin a run "
      f"with its weights: --config.init_from={commands.quote(folder)} and "
      "another --workdir"
    )


def find(folder: Path) -> Path:
  """Return a folder, or the folder of a model that comes with the package.

  pretrained/digits is the folder of that name, if there is one, else the
  model that comes with the package.
  """
  if (folder / "config.json").exists() or folder.parts[:-1] != ("pretrained",):
    return folder
  # Models lie inside the installed package, or beside it in a checkout.
  for place in (PACKAGE, PACKAGE.parent):
    if (place / folder / "config.json").exists():
      return place / folder
  return folder


def leave_out_encoder(system: System) -> System:
  """Return the system of an export without its encoder: it draws alone."""

  def refuse(*_: Any) -> NoReturn:
    raise CheckpointError(
      "this export has no encoder, so it encodes and scores nothing; take the "
      "run itself, or an export that was made without --noencoder"
    )

  return system._replace(evaluate=refuse, encode=None, posterior=None)


def lacks_encoder(state: TrainState, abstract: TrainState) -> bool:
  """Tell whether a state is without the encoder that its system has.

  Args:
    state: it may be an export's.
    abstract: names of the system's whole state.
  """
  return ENCODER in abstract.params.keys() - state.params.keys()


def arrays(state: TrainState, without: Mapping = {}) -> dict[str, NDArray]:
  """Return a state's parameters and statistics by name.

  Args:
    state: the optimiser's part is left out.
    without: branches of params that come from files of their own.
  """
  params = {k: v for k, v in state.params.items() if k not in without}
  trees = {"params": params, "model_state": state.model_state}
  names = {name: name.replace("/", ".") for name in shapes(trees)}
  leaves = jax.tree.leaves(trees)
  return {
    name: np.asarray(leaf)
    for name, leaf in zip(names.values(), leaves, strict=True)
  }


def hash_files(folder: Path) -> str:
  """Return the SHA-256 of the files that say what the arrays mean, as JSON."""
  found = {
    name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
    for name in SEALED
    if (folder / name).exists()
  }
  return json.dumps(found, sort_keys=True)


def read_state(
  folder: Path, abstract: TrainState, held: Mapping[str, PyTree | None]
) -> TrainState:
  """Read an export's state; it has no optimiser's part.

  Args:
    folder: the export.
    abstract: names, shapes and types of the system's state.
    held: {branch of params: its weights} of branches that have a file of their
      own. If the weights are None, the file is missing, and the state is read
      without the branch.

  Raises:
    DamagedFile: a file was changed or cut, or is another program's.
    CheckpointError: names or shapes are not the config's; they are listed.
  """
  path = Path(folder) / WEIGHTS
  found, notes = tensors.read(path)
  _check_notes(folder, notes)
  if notes.get(LEFT_OUT):
    held = {**held, notes[LEFT_OUT]: None}
  params = {k: v for k, v in abstract.params.items() if k not in held}
  wanted = {"params": params, "model_state": abstract.model_state}
  names = {name.replace("/", "."): n for name, n in shapes(wanted).items()}
  check_names(names, {n: a.shape for n, a in found.items()}, str(path))
  leaves, structure = jax.tree.flatten(wanted)
  filled = [
    jnp.asarray(found[name], leaf.dtype)
    for name, leaf in zip(names, leaves, strict=True)
  ]
  trees = jax.tree.unflatten(structure, filled)
  there = {name: tree for name, tree in held.items() if tree is not None}
  return TrainState(
    step=jnp.asarray(int(notes["step"]), jnp.int32),
    params={**trees["params"], **jax.tree.map(jnp.asarray, there)},
    model_state=trees["model_state"],
    opt_state={},
  )


def _check_notes(folder: Path, notes: Mapping[str, str]) -> None:
  """Check that a file is of this program, this version and these files."""
  path = Path(folder) / WEIGHTS
  if notes.get("format") != FORMAT or not notes.get("step", "").isdigit():
    raise DamagedFile(
      f"{path} is no export of this program (its notes are "
      f"{sorted(notes) or 'empty'}); export a run with launch.export"
    )
  if notes.get("version") != str(VERSION):
    raise DamagedFile(
      f"{path} is of version {notes.get('version')} of the format; this "
      f"release reads version {VERSION}: install a newer release"
    )
  wanted = json.loads(notes.get("files", "{}"))
  there = json.loads(hash_files(folder))
  for name in wanted.keys() | there.keys():
    if wanted.get(name) != there.get(name):
      what = "is missing" if name not in there else "was changed"
      raise DamagedFile(
        f"{Path(folder) / name} {what} since the export; {_REMEDY}"
      )


def saved(folder: str | Path) -> bool:
  """Tell whether a folder has what `load` needs: a checkpoint, or an export."""
  if is_export(folder):
    return True
  return bool(checkpoints.steps(local(folder, "a run's folder")))
