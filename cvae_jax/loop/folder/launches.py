"""environment.json: how and where a run was launched, each time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvae_jax.host.console import say
from cvae_jax.host.files import DamagedFile, read_json, write_atomically
from cvae_jax.loop.folder import provenance

FILE = "environment.json"


def read(folder: Path) -> list[dict[str, Any]]:
  """Read a run's launches, the first one first.

  Raises:
    DamagedFile: the file is damaged.
  """
  remedy = "going on with the run begins it anew"
  found = read_json(Path(folder) / FILE, list, remedy)
  if not found or not all(isinstance(launch, dict) for launch in found):
    raise DamagedFile(
      f"{Path(folder) / FILE} is damaged: expected a list of launches; {remedy}"
    )
  return found


def add(folder: Path, step: int, programs: Mapping[str, Any]) -> None:
  """Add this launch of a run that goes on from `step`, or begins if it is 0.

  A line says what has changed since the previous launch. A damaged log is set
  aside, and the run goes on.

  Args:
    folder: the run's.
    step: how many updates it has behind it.
    programs: what the compiled steps depend on (dispatch.describe_programs).
  """
  path = Path(folder) / FILE
  launches = []
  if path.exists():
    try:
      launches = read(folder)
    except DamagedFile as error:
      aside = path.with_name(f"{FILE}.damaged")
      path.replace(aside)
      say(f"warning: {error}. It is kept as {aside}")
  today = provenance.describe_launch(programs)
  changed = provenance.changes(launches[-1], today) if launches else []
  if changed and step:
    say(
      "warning: this run goes on under other settings, so its bits may "
      f"differ from those of a run without a break: {'; '.join(changed)}"
    )
  launches.append(today)
  write_atomically(path, json.dumps(launches, indent=2) + "\n")
