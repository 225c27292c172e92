"""The figures of a run: measures.json in its folder, a section for each kind.

    {"scores": {…}, "collapse": {…}, "likeness": {…}, "variety": {…}}

Each section has a `protocol`: what was measured, on which state and with which
seed. Older runs have a file for each kind, as scores.json. It is read if
measures.json has no such section.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cvae_jax.host import hub, lock
from cvae_jax.host.files import read_json, write_atomically
from cvae_jax.loop import fitted
from cvae_jax.loop.integrity import digest
from cvae_jax.runs import Run

FILE = "measures.json"
_REMEDY = "delete it, and what it held is measured anew"


def read(folder: Path, name: str) -> dict[str, Any] | None:
  """Return a section of a run's figures, or None where there is none.

  A section that is no mapping is ignored, so it is measured anew.

  Raises:
    DamagedFile: the file is no JSON.
  """
  found = sections(folder).get(name)
  if found is not None:
    return found
  older = Path(folder) / f"{name}.json"
  return read_json(older, dict, _REMEDY) if older.exists() else None


def write(folder: Path, name: str, section: Mapping[str, Any]) -> None:
  """Put a section into a run's figures, beside the others.

  Raises:
    RunError: the run is on the Hub.
  """
  folder = Path(folder)
  hub.check_writable(folder)
  with lock.wait_for(folder):  # another command may write another section
    found = sections(folder) | {name: dict(section)}
    write_atomically(folder / FILE, json.dumps(found, indent=2) + "\n")


def measure_once(
  run: Run,
  name: str,
  protocol: Mapping[str, Any],
  measure: Callable[[], Mapping[str, Any]],
) -> dict[str, Any]:
  """Return a section measured by a protocol; measure it if it is not there.

  Args:
    run: the run. Its state's step and digest are part of the protocol.
    name: the section's.
    protocol: what else decides the figures.
    measure: makes the figures.
  """
  wanted = identify_state(run) | dict(protocol)
  name = section(run, name)
  known = read(run.folder, name)
  if known is None or known.get("protocol") != wanted:
    known = {"protocol": wanted, **measure()}
    write(run.folder, name, known)
  return known


def identify_state(run: Run) -> dict[str, Any]:
  """Return the step and the digest that identify a run's state."""
  state = {"step": int(run.state.step), "state": digest(run.state)}
  return state | _describe(run)


def section(run: Run, name: str) -> str:
  """Return a section's name; a fitted prior and a guidance have their own."""
  chosen = _describe(run)
  own = [chosen["prior"]] if "prior" in chosen else []
  own += [f"guidance:{run.guidance:g}"] if "guidance" in chosen else []
  return "_".join([name, *own])


def _describe(run: Run) -> dict[str, Any]:
  """Return what of the samples was chosen after training; {} if nothing."""
  guidance = {} if run.guidance == 1.0 else {"guidance": run.guidance}
  return fitted.describe(run) | guidance


def sections(folder: Path) -> dict[str, dict[str, Any]]:
  """Return all sections of a run's measures.json by name; {} without one.

  Raises:
    DamagedFile: the file is no JSON.
  """
  path = Path(folder) / FILE
  if not path.exists():
    return {}
  found = read_json(path, dict, _REMEDY)
  return {k: v for k, v in found.items() if isinstance(v, dict)}
