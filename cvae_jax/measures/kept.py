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
from cvae_jax.loop.folder.folders import ANEW, MEASURES, Folder
from cvae_jax.loop.folder.integrity import digest
from cvae_jax.loop.run import fitted
from cvae_jax.runs import Run

FILE = MEASURES
MANNERS = ("guidance", "temperature")  # attributes of a run; 1 is the usual


def read(folder: Path, name: str) -> dict[str, Any] | None:
  """Return a section of a run's figures, or None where there is none.

  A section that is no mapping is ignored, so it is measured anew.

  Raises:
    DamagedFile: the file is no JSON.
  """
  found = Folder(Path(folder)).measures.get(name)
  if found is not None:
    return found
  older = Path(folder) / f"{name}.json"
  return read_json(older, dict, ANEW) if older.exists() else None


def other_manners(folder: Path, name: str) -> list[str]:
  """List sections that differ from a name's in how samples were drawn."""
  found = Folder(Path(folder)).measures
  return [key for key in found if key.startswith(f"{name}_")]


def write(folder: Path, name: str, section: Mapping[str, Any]) -> None:
  """Put a section into a run's figures, beside the others.

  Raises:
    RunError: the run is on the Hub.
  """
  folder = Path(folder)
  hub.check_writable(folder)
  with lock.wait_for(folder):  # another command may write another section
    found = Folder(folder).measures | {name: dict(section)}
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
  return state | fitted.describe(run) | _manner(run)


def section(run: Run, name: str) -> str:
  """Return a section's name, which says how samples were drawn."""
  own = [*fitted.describe(run).values()]
  own += [f"{manner}:{value:g}" for manner, value in _manner(run).items()]
  return "_".join([name, *own])


def _manner(run: Run) -> dict[str, float]:
  """Return {"guidance": g, "temperature": t}, without what is 1."""
  values = {name: getattr(run, name) for name in MANNERS}
  return {name: value for name, value in values.items() if value != 1.0}
