"""The scores of a run that go with its export: those of the exported state."""

import dataclasses
from pathlib import Path
from typing import Any

from cvae_jax.loop import exports
from cvae_jax.measures import kept, score
from cvae_jax.runs import Run


def find(run: Run, lines: list[str]) -> dict[str, Any] | None:
  """Return the run's scores, None without; older ones are named in `lines`."""
  found = score.load_known(run)
  if found is None and kept.read(run.folder, score.NAME) is not None:
    lines.append("scores: left out; they are of another state of the run")
  return found


def write(run: Run, folder: Path, scores: dict[str, Any] | None) -> None:
  """Write a run's scores into its export, as those of the exported state."""
  if scores is None:
    return
  held = {
    name: run.state.params[name] for name in run.config.get("pretrained", {})
  }
  state = exports.read_state(folder, run.state, held)
  exported = dataclasses.replace(run, state=state)
  protocol = scores["protocol"] | kept.identify_state(exported)
  kept.write(folder, score.NAME, scores | {"protocol": protocol})
