"""Write a run as one folder that other programs, and this one, can read."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cvae_jax import __version__, config as configs
from cvae_jax.apps.export import card, findings, functions
from cvae_jax.host import images, lock, tensors
from cvae_jax.host.arguments import RunError
from cvae_jax.host.files import write_atomically
from cvae_jax.host.paths import folder as checked_folder
from cvae_jax.loop.folder import exports
from cvae_jax.loop.folder.restore import abstract_state
from cvae_jax.loop.folder.rows import FILE as METRICS, read_metrics
from cvae_jax.nets.fast import ops
from cvae_jax.runs import Run

FORMATS = ("safetensors", "onnx", "stablehlo")
DEFAULT = ("safetensors", "onnx")
PLATFORMS = ("cpu", "cuda", "tpu")  # that a .stablehlo file is for


def export(
  run: Run,
  out: Path,
  formats: Sequence[str] = DEFAULT,
  *,
  half: bool = False,
  encoder: bool = True,
  licence: str = "",
  note: str = "",
) -> list[str]:
  """Write a run's export, whole or not at all.

  Args:
    run: the run.
    out: the folder; an export there is replaced, anything else is not.
    formats: some of FORMATS; model.safetensors is always written.
    half: store the parameters as 16-bit numbers, half the size.
    encoder: write the encoder too. What draws does not need it.
    licence: of the weights, for the model card.
    note: a paragraph for the model card.

  Returns:
    What was written and what was left out, lines for people.

  Raises:
    RunError: a format is unknown, a package is missing, or `out` is not free.
  """
  _check_formats(formats)
  exported = run if encoder else _leave_out_encoder(run)
  out = checked_folder(out, "--out")
  _check_free(out, run)
  beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
  shutil.rmtree(beside, ignore_errors=True)
  try:
    lines = []
    scores = findings.find_scores(run, lines)
    later = findings.list_files(run, scores)
    said = {"licence": licence, "note": note, "scores": scores}
    lines += _fill(exported, beside, formats, half, later, **said)
    findings.write(run, beside, scores)
    _replace(beside, out)
  finally:
    shutil.rmtree(beside, ignore_errors=True)
  return [*lines, f"wrote {out}: {', '.join(sorted(os.listdir(out)))}"]


def _leave_out_encoder(run: Run) -> Run:
  """Return a run that draws alone.

  Raises:
    RunError: it has no encoder, or draws with it.
  """
  if exports.ENCODER not in run.state.params:
    raise RunError(f"{run.folder} has no encoder that could be left out")
  if run.config.get("prior", {}).get("name") == "vamp":
    raise RunError(
      f"{run.folder} draws from posteriors (prior.name=vamp), which need the "
      "encoder; export it whole"
    )
  params = dict(run.state.params)
  del params[exports.ENCODER]
  return dataclasses.replace(
    run,
    system=exports.leave_out_encoder(run.system),
    state=run.state.replace(params=params),
  )


def _check_formats(formats: Sequence[str]) -> None:
  for name in formats:
    if name not in FORMATS:
      raise RunError(
        f"--formats has {name!r}; known: {', '.join(FORMATS)}, by commas"
      )
  packages = {"onnx": "onnx", "stablehlo": "flatbuffers"}
  for name in set(formats) & packages.keys():
    try:
      __import__(packages[name])
    except ModuleNotFoundError:
      raise RunError(
        f"--formats has {name}, which needs the package {packages[name]}: pip "
        "install 'cvae_jax[export]', or leave it out: --formats=safetensors"
      ) from None


def _check_free(out: Path, run: Run) -> None:
  """Refuse a folder that has something else in it."""
  if out.resolve() == run.folder.resolve():
    raise RunError(f"--out is {out}, the run itself; give another folder")
  if out.exists() and any(out.iterdir()) and not exports.is_export(out):
    raise RunError(
      f"--out is {out}, a folder with other files; give a name that is free"
    )


def _replace(beside: Path, out: Path) -> None:
  """Put a finished folder in its place, and the one before it away."""
  old = out.with_name(f".{out.name}.{os.getpid()}.old")
  with lock.wait_for(out.parent):  # two exports may end at the same time
    if out.exists():
      out.rename(old)
    beside.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _fill(
  run: Run, folder: Path, formats, half, later: Sequence[str], **said: Any
) -> list[str]:
  """Write all files into a new folder, but those that come later.

  Args:
    later: their names, for the card.
    said: arguments of `card.write`.
  """
  _write_facts(run, folder)
  found = functions.from_run(run)
  lines = []
  writers = {"onnx": _onnx, "stablehlo": _stablehlo}
  for name in [n for n in FORMATS if n in formats and n in writers]:
    lines += _write_functions(folder, found, name, writers[name])
    if not found:
      lines += [
        f"{name}: left out; a {run.config.system} has columns of its own"
      ]
  if (drawn := card.picture(run)) is not None:
    images.save_grid(folder / card.PICTURE, drawn)
  names = [*os.listdir(folder), "README.md", exports.WEIGHTS]
  text = card.write(run, found, [*names, *later], **said)
  write_atomically(folder / "README.md", text)
  _write_weights(run, folder, half)
  return lines


def _write_facts(run: Run, folder: Path) -> None:
  """Write what the arrays mean; paths of this machine are left out."""
  config = configs.from_json(configs.to_json(run.config)).unlock()
  if "path" in config.data:
    config.data.path = ""
  config.init_from = ""
  for branch in config.get("pretrained", {}).values():
    if "file" in branch:
      branch.file = ""
  write_atomically(folder / "config.json", configs.to_json(config))
  conditions = run.conditions.to_json() if run.conditions else {}
  text = json.dumps(conditions, indent=2, sort_keys=True)
  write_atomically(folder / "conditions.json", text + "\n")
  if (run.folder / "data.json").exists():
    data = (run.folder / "data.json").read_bytes()
    write_atomically(folder / "data.json", data)
  rows = [r for r in read_metrics(run.folder) if r.get("split") == "test"]
  if rows:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(folder / METRICS, text)


def _write_weights(run: Run, folder: Path, half: bool) -> None:
  """Write model.safetensors last: it makes the folder an export."""
  arrays = exports.arrays(run.state, run.config.get("pretrained", {}))
  if half:
    arrays = {name: _to_float16(name, array) for name, array in arrays.items()}
  notes = {
    "format": exports.FORMAT,
    "version": str(exports.VERSION),
    "step": str(int(run.state.step)),
    "system": str(run.config.system),
    "written_by": f"cvae_jax {__version__}",
    "files": exports.hash_files(folder),
  }
  if exports.lacks_encoder(run.state, abstract_state(run.system)):
    notes[exports.LEFT_OUT] = exports.ENCODER
  content = tensors.content(arrays, notes)
  write_atomically(folder / exports.WEIGHTS, content)


def _to_float16(name: str, array):
  if not name.startswith("params.") or array.dtype != np.float32:
    return array
  half = array.astype(np.float16)
  return half if np.isfinite(half).all() else array


def _write_functions(
  folder: Path,
  found: Mapping[str, functions.Function],
  ending: str,
  write: Callable[[functions.Function], bytes],
) -> list[str]:
  """Write all functions that can be written; return notes on the others."""
  lines = []
  for name, function in found.items():
    try:
      content = write(function)
    except (NotImplementedError, TypeError, ValueError) as error:
      gist = " ".join(str(error).split())[:200]
      lines.append(f"{name}.{ending} is left out: {gist}")
      continue
    write_atomically(folder / f"{name}.{ending}", content)
  return lines


def _onnx(function: functions.Function) -> bytes:
  from cvae_jax.apps.export import convert  # needs the extra

  return convert.to_onnx(function.apply, function.inputs, function.outputs)


def _stablehlo(function: functions.Function) -> bytes:
  from cvae_jax.apps.export import trace

  apply = jax.jit(lambda *xs: jax.tree.leaves(function.apply(*xs)))
  with ops.trace_plain():
    exported = jax.export.export(apply, platforms=PLATFORMS)(
      *trace.symbolic(function.inputs)
    )
  return bytes(exported.serialize())
